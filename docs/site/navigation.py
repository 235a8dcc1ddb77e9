"""A Sphinx extension: the order of the pages, kept here so that the pages themselves are plain Markdown."""

from sphinx.application import Sphinx

SECTIONS = {
    "Start": ["getting-started", "glossary"],
    "Guides": [
        "edge-engineer",
        "privacy-officer",
        "record-of-requests",
        "record-page",
        "repeated-requests",
        "benchmark",
    ],
    "Methods and results": ["methods", "results", "results-tables", "measurements"],
    "Formats": ["audit-format", "certificate-format", "export", "patch-format"],
    "Reference": ["api", "/CONTRIBUTING", "/CHANGELOG", "/SECURITY", "promises"],
}
"""Pages by the heading that stands above them in the sidebar."""

MEASUREMENTS = "/benchmarks/results/*"
SUITES = "/benchmarks/results/*/report"

ENTRANCE = '<!DOCTYPE html><title>Obliq</title><meta http-equiv="refresh" content="0; url=docs/index.html">\n'


def toctree(*entries: str, caption: str = "") -> str:
    """A hidden list of pages, in MyST's syntax."""
    options = [
        ":hidden:",
        *([f":caption: {caption}"] if caption else []),
        ":glob:" if "*" in "".join(entries) else "",
    ]
    return "\n".join(["", "```{toctree}", *filter(None, options), *entries, "```", ""])


def add_pages(app: Sphinx, document: str, source: list[str]) -> None:
    """Append the lists of pages to the two pages that have some below them."""
    if document == "docs/index":
        source[0] += "".join(toctree(*pages, caption=caption) for caption, pages in SECTIONS.items())
    if document == "docs/measurements":
        source[0] += toctree(MEASUREMENTS, SUITES)


def add_entrance(app: Sphinx, exception: Exception | None) -> None:
    """Send visitors of the site's folder to its first page, which lies one folder deeper."""
    if exception is None:
        (app.outdir / "index.html").write_text(ENTRANCE)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("source-read", add_pages)
    app.connect("build-finished", add_entrance)
    return {"parallel_read_safe": True}
