"""A benchmark's report: rows to summaries, and these to Markdown and one HTML page."""

from obliq.bench.report.background import Background
from obliq.bench.report.document import render

__all__ = ["Background", "render"]
