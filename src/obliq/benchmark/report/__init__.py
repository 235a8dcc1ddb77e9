"""The report of a benchmark, as Markdown and as one HTML page: `render` writes both from the rows."""
