"""A text as a word of letters from a to z, digits and hyphens, for names of files and options."""

import re


def slug(text: str) -> str:
    """The word of a text: `Avg. Gap` is `avg-gap`. Texts in other letters may have the same."""
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")
