"""Small files that cost much memory or time in a reader which trusts them, by format."""
