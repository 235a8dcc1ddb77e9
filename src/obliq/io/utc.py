"""Times in files: UTC to the second, as RFC 3339 and in-toto write them, with `Z`."""

from datetime import UTC, datetime

_FORM = "%Y-%m-%dT%H:%M:%SZ"


def utc_text(time: datetime) -> str:
    """A time with a time zone, as in 2026-01-31T12:00:00Z."""
    return time.astimezone(UTC).strftime(_FORM)


def parse_utc(text: str) -> datetime:
    """The time of a text as `utc_text` writes it.

    Raises:
        ValueError: for another form, and for a time that does not exist.
    """
    try:
        time = datetime.strptime(text, _FORM).replace(tzinfo=UTC)
    except ValueError:
        time = None
    if time is None or utc_text(time) != text:  # strptime accepts single digits, too
        raise ValueError(f"{text[:40]!r}; expected a time such as 2026-01-31T12:00:00Z")
    return time
