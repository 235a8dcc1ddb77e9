"""Reading and writing files: strict JSON documents, atomic writes, locks, and code that the user names."""
