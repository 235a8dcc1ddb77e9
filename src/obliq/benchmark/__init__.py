"""Benchmarks: many methods on the same requests, compared in one table; start with `run`."""
