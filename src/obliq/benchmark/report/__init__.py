"""The report of a benchmark as Markdown and as one HTML page; start with `render`."""
