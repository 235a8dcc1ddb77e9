"""What texts, digests and days of a record may be."""

import re
from datetime import date, datetime

from obliq.errors import RecordError
from obliq.io.sha256 import is_sha256
from obliq.io.utc import parse_utc

LONGEST_TEXT = 200
"""Characters of a case number, a name or a reason."""


def require_text(**texts: str) -> None:
    """Refuse texts that are empty, too long, or cannot be printed on one line.

    Raises:
        RecordError: naming the text.
    """
    for name, text in texts.items():
        if not text.strip() or len(text) > LONGEST_TEXT or not text.isprintable():
            raise RecordError(
                f"{name.replace('_', ' ')} {text[:40]!r} has {len(text)} characters; expected one line of 1 to "
                f"{LONGEST_TEXT} that can all be printed"
            )


def require_sha256(**digests: str) -> None:
    """Refuse what is no SHA-256 in hexadecimal.

    Raises:
        RecordError: naming the digest.
    """
    for name, digest in digests.items():
        if not is_sha256(digest):
            raise RecordError(f"{name} {digest[:80]!r}; expected 64 hexadecimal digits")


def parse_time(name: str, text: str) -> datetime:
    """A time in the form 2026-01-31T12:00:00Z.

    Raises:
        RecordError: for another form.
    """
    try:
        return parse_utc(text)
    except ValueError:
        raise RecordError(f"{name} {text[:40]!r}; expected a time such as 2026-01-31T12:00:00Z") from None


def parse_day(name: str, text: str) -> date:
    """A day in the form 2026-01-31.

    Raises:
        RecordError: for another form.
    """
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass
    raise RecordError(f"{name} {text[:40]!r}; expected a day such as 2026-01-31")
