"""A Sphinx extension: report each file of the site that would load anything from another host."""

import re

from sphinx.application import Sphinx
from sphinx.util import logging

LOADED = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=\"((?:https?:)?//[^\"]+)\"")
LOADED_BY_STYLES = re.compile(r"(?:url\(['\"]?|@import ['\"])((?:https?:)?//[^'\")]+)")
logger = logging.getLogger(__name__)


def check(app: Sphinx, exception: Exception | None) -> None:
    """Look through every page and style sheet that was written."""
    if exception is not None:
        return
    for suffix, pattern in ((".html", LOADED), (".css", LOADED_BY_STYLES)):
        for file in sorted(app.outdir.rglob(f"*{suffix}")):
            if found := pattern.search(file.read_text()):
                logger.warning("%s loads %s; expected nothing from other hosts", file.name, found.group(1))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("build-finished", check)
    return {"parallel_read_safe": True}
