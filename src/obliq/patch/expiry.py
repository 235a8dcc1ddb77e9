"""When a patch expires, in words: `--expires` on the command line, and what is printed and refused."""

import re
from datetime import datetime

from obliq.errors import PatchError
from obliq.io.utc import utc_text
from obliq.patch.difference import PatchHead

_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = r"[0-9]{2}:[0-9]{2}(:[0-9]{2})?"


def parse_expiry(text: str, now: datetime) -> datetime:
    """The time at which a patch shall expire.

    Args:
        text: a day, which stands for its first second, or a day and a time; in UTC, as ISO 8601 writes them.
        now: the time, with a time zone.

    Raises:
        PatchError: for another form, a time that does not exist, and one that is not in the future.
    """
    try:
        if not re.fullmatch(f"{_DAY}(T{_TIME}Z)?", text):
            raise ValueError
        found = datetime.fromisoformat(text if text.endswith("Z") else f"{text}T00:00:00Z")
    except ValueError:
        raise PatchError(
            f"--expires {text[:40]!r}; expected a day in UTC such as 2030-01-31, or a time such as "
            "2030-01-31T12:00:00Z"
        ) from None
    if found <= now:
        raise PatchError(f"--expires {text} has passed; expected a time after {utc_text(now)}")
    return found


def require_unexpired(head: PatchHead, now: datetime, override: str) -> None:
    """Refuse a patch that has expired.

    Args:
        head: of the patch.
        now: the time, with a time zone.
        override: what to pass to use such a patch all the same, for the message.

    Raises:
        PatchError: naming both times.
    """
    if head.expires is not None and head.has_expired(now):
        raise PatchError(
            f"patch refused: it expired at {utc_text(head.expires)}, and the clock shows {utc_text(now)}; expected a "
            f"newer patch, or {override}"
        )
