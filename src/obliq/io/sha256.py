"""How SHA-256 is written as text."""

import re

_TEXT = re.compile("[0-9a-f]{64}")


def is_sha256(text: str) -> bool:
    """Whether a text is SHA-256 in hexadecimal: 64 digits in lower case."""
    return _TEXT.fullmatch(text) is not None
