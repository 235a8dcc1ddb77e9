"""Names from outside on pages and terminals: acting characters become visible escapes, and long lists are cut."""

import re
from collections.abc import Sequence

_ACTING = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and line feed
    r"\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible, and order of writing
    r"\ud800-\udfff\U000e0000-\U000e007f"  # halves of characters; invisible tags
)
_IN_TEXT, _IN_LINE = re.compile(f"[{_ACTING}]"), re.compile(rf"[\t\n{_ACTING}]")


def visible_text(text: str) -> str:
    """The text with control characters, invisible ones and lone surrogates as visible escapes.

    A class, a file or a case may be called anything. Printed as it is, its name could clear a terminal, reverse the
    order of what follows, or not be encodable at all.
    """
    return _IN_TEXT.sub(_escaped, text)


def visible_line(text: str) -> str:
    """The same, with tabs and line feeds as escapes too, so that a name cannot add a line."""
    return _IN_LINE.sub(_escaped, text)


def reason_of(error: BaseException, most: int = 200) -> str:
    """What an error of another library states, in one line that can be printed; it may quote the file that it read."""
    return visible_line(" ".join(str(error).split()))[:most] or type(error).__name__


def first_of(names: Sequence[str], most: int) -> str:
    """The first names of a list and how many more there are, for a message of one line."""
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
