"""What a request names: a class, a person, a random share, or listed samples."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from obliq.errors import DataError

ACCEPTED = "class=3, class=cat,dog, subject=7, subject=7,12, random=10%, random=600 or ids=FILE"
JOINED = " + "
_BETWEEN = re.compile(r" \+ (?=(?:class|subject|random|ids|requests?)=)")
_PIECE = re.compile(r"\\[\\,+]|,|[^\\,]+|\\")
"""A piece of a list of names: an escaped comma, backslash or plus, a comma between names, or other letters."""
NUMBER = re.compile(r"[0-9]{1,18}")
"""A whole number from 0; int() alone also takes 1_000, signs and more than 64 bits."""


@dataclass(frozen=True)
class Classes:
    """Every training sample of these classes, by the names or numbers that the user calls them."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return "class=" + ",".join(map(escaped, self.names))


@dataclass(frozen=True)
class Subjects:
    """Every training sample of these people, by the names or numbers that the user calls them."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return "subject=" + ",".join(map(escaped, self.names))


@dataclass(frozen=True)
class RandomShare:
    """A random share of the training part, in percent."""

    percent: float

    def __str__(self) -> str:
        return f"random={self.percent!r}".removesuffix(".0") + "%"


@dataclass(frozen=True)
class RandomCount:
    """A random number of training samples."""

    count: int

    def __str__(self) -> str:
        return f"random={self.count}"


@dataclass(frozen=True)
class Listed:
    """The samples whose ids are in a text file, one a line; `#` starts a comment.

    Attributes:
        file: what errors call the list.
        content: the list itself, where it is in memory and not in the file.
    """

    file: Path
    content: bytes | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"ids={self.file}"


@dataclass(frozen=True)
class Several:
    """Every sample that at least one of several selectors names."""

    selectors: "tuple[Classes | Subjects | RandomShare | RandomCount | Listed, ...]"

    def __str__(self) -> str:
        return JOINED.join(map(str, self.selectors))


Selector = Several | Classes | Subjects | RandomShare | RandomCount | Listed


def parse_selector(text: str, *, accepted: str = ACCEPTED) -> Selector:
    """Read a request as it is typed; `str()` of the result gives the text back.

    Args:
        text: the request.
        accepted: the forms that an error lists.

    Raises:
        DataError: for anything but the accepted forms, and for shares outside 0 to 100 percent.
    """
    if len(texts := split_selectors(text)) > 1:
        found = tuple(parse_selector(one, accepted=accepted) for one in texts)
        return Several(tuple(one for one in found if not isinstance(one, Several)))
    kind, _, given = (part.strip() for part in text.partition("="))
    if kind == "class":
        return Classes(_names(text, given, accepted))
    if kind == "subject":
        return Subjects(_names(text, given, accepted))
    if kind == "random" and given.endswith("%"):
        return RandomShare(_percent(text, given.removesuffix("%"), accepted))
    if kind == "random" and NUMBER.fullmatch(given):
        if int(given) == 0:
            raise DataError(f"{text}: nothing to forget; expected at least one sample")
        return RandomCount(int(given))
    if kind == "ids" and given:
        return Listed(Path(given))
    raise DataError(f"{text!r} does not name anything to forget; expected {accepted}")


def split_selectors(text: str) -> list[str]:
    """The single selectors in a text such as `class=3 + subject=7`."""
    return _BETWEEN.split(text.strip())


def escaped(name: str) -> str:
    """A name as it is typed in a request, where a comma stands between names, and a plus between selectors."""
    return _BETWEEN.sub(r" \\+ ", re.sub(r"([\\,])", r"\\\1", name))


def _names(text: str, given: str, accepted: str) -> tuple[str, ...]:
    entries = [""]
    for piece in _PIECE.findall(given):
        if piece == ",":
            entries.append("")
        else:
            entries[-1] += piece[-1] if piece in (r"\\", r"\,", r"\+") else piece
    entries = [entry.strip() for entry in entries]
    if not all(entries):
        raise DataError(f"{text!r} does not name anything to forget; expected {accepted}")
    return tuple(dict.fromkeys(entries))


def _percent(text: str, given: str, accepted: str) -> float:
    try:
        percent = float(given)
    except ValueError as error:
        raise DataError(f"{text!r} is not a share; expected {accepted}") from error
    if not 0 < percent < 100:
        raise DataError(f"{text}: expected more than 0% and less than 100%")
    return percent
