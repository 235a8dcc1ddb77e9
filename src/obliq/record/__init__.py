"""The erasure record of one network: requests that keep coming, what was done about them, and the proof of it."""
