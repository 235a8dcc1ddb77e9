"""Names and case numbers that people cannot tell apart: one person in two spellings, one case under two numbers.

Only the standard library is used, so the check is coarse. Whole words of another alphabet that look like a Latin word
are not found.
"""

import unicodedata
from collections.abc import Iterable

from obliq.errors import RecordError

_FILLERS = frozenset("\u115f\u1160\u17b4\u17b5\u3164\uffa0")
"""Letters that are shown as nothing."""
_LIKE_LATIN = ("LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "CHEROKEE")
"""Alphabets with letters that look alike, as the names of their characters begin."""


def same_name(one: str, other: str) -> bool:
    """Whether two names are the same but for capitals and spaces."""
    return " ".join(one.split()).casefold() == " ".join(other.split()).casefold()


def same_person(one: str, other: str) -> bool:
    """Whether two names may be of one person: the same but for capitals, spaces, accents, punctuation, hidden signs."""
    return _letters(one) == _letters(other)


def require_one_alphabet(**texts: str) -> None:
    """Refuse words that mix alphabets with letters that look alike, such as a Cyrillic one among Latin ones.

    Raises:
        RecordError: naming the text.
    """
    for name, text in texts.items():
        for word in text.split():
            kinds = {
                kind for char in word for kind in _LIKE_LATIN if unicodedata.name(char, "").startswith(kind)
            }
            if len(kinds) > 1:
                raise RecordError(
                    f"{name.replace('_', ' ')} {text[:40]!a} mixes the alphabets {' and '.join(sorted(kinds)).lower()} "
                    "in one word; expected letters of one alphabet"
                )


def require_new_number(case: str, known: Iterable[str]) -> None:
    """Refuse a new case number that has hidden characters, or looks like one that exists.

    Raises:
        RecordError: naming it, and the other one.
    """
    require_one_alphabet(case_number=case)
    if case != unicodedata.normalize("NFKC", case).strip() or any(map(_is_hidden, case)):
        raise RecordError(
            f"case number {case[:40]!a} has spaces at an end, or characters that are hidden or look like others; "
            "expected plain letters, digits and signs"
        )
    twin = next((one for one in known if one != case and _as_seen(one) == _as_seen(case)), None)
    if twin is not None:
        raise RecordError(
            f"case number {case[:40]!a} looks like {twin[:40]!a}, which exists; expected one that differs in a letter "
            "or a digit"
        )


def _letters(text: str) -> str:
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    kept = [char for char in plain if char.isalnum() and not _is_hidden(char)]
    return "".join(kept) or text


def _as_seen(text: str) -> str:
    """A case number with one kind of dash and space, without capitals."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    shown = (
        "-" if unicodedata.category(char) == "Pd" else char
        for char in plain
        if not (_is_hidden(char) or _is_mark(char))
    )
    return " ".join("".join(shown).split())


def _is_hidden(char: str) -> bool:
    return char in _FILLERS or unicodedata.category(char) in ("Cf", "Cc")


def _is_mark(char: str) -> bool:
    return unicodedata.category(char) in ("Mn", "Me")
