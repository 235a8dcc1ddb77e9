"""The benchmark: many methods, the same requests, one table."""
