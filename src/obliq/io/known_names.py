"""Errors about a name that does not exist: first that it does not, then which known names are like it."""

import difflib
from collections.abc import Iterable

from obliq.io.visible_text import visible_line

CLOSE, SIMILAR = 0.6, 0.5
"""Similarity (0 to 1) from which a name is probably a mistyped one, and from which it is worth naming."""

_LONGEST = 80  # letters of a name in a message


def nearest_names(name: str, known: Iterable[str], similarity: float, most: int = 3) -> list[str]:
    """The known names that are at least that similar to a name, the nearest one first; case does not count."""
    by_lower = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), list(by_lower), n=most, cutoff=similarity)
    return [by_lower[one] for one in near]


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Beginning of an error: that there is no such name, and the nearest ones. The caller adds what to do.

    Args:
        kind: what has these names, such as `method`.
        name: the name that was given.
        known: all names that exist.
    """
    names, shown = list(known), visible_line(name[:_LONGEST]) + ("..." if len(name) > _LONGEST else "")
    if near := nearest_names(name, names, CLOSE):
        return f"there is no {kind} '{shown}'; did you mean '{near[0]}'?"
    near = nearest_names(name, names, SIMILAR)
    nearest = f" the nearest {'are' if len(near) > 1 else 'is'} {', '.join(near)};" if near else ""
    return f"there is no {kind} '{shown}';{nearest}"
