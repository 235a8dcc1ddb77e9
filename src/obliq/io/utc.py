"""Times in files, as RFC 3339 and in-toto write them: UTC to the second, with `Z`. Durations in words."""

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


def format_duration(seconds: float) -> str:
    """A duration in whole units, for instance `2 min 5 s`; hours without seconds."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
