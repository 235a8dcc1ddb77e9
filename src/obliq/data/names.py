"""Names of classes, subjects and samples: their order, which of them a word means, and how messages list them.

A word means what the user calls a thing. Where all names are whole numbers (folders `0` to `11`), `2` is the one
called 2, and never the one that stands at position 2 of a list.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from obliq.data.selectors import NUMBER, escaped
from obliq.errors import DataError

SHOWN = 8
"""Names that a message lists before it leaves some out."""


def are_numbers(names: Sequence[str]) -> bool:
    """Whether all names are whole numbers, each another one."""
    return all(map(NUMBER.fullmatch, names)) and len(set(map(int, names))) == len(names) > 0


def in_order(names: Iterable[str]) -> list[str]:
    """Names in the order of their numbers where all are numbers, else in the order of their letters."""
    listed = list(names)
    return sorted(listed, key=int) if are_numbers(listed) else sorted(listed)


class Lookup:
    """Finds the position of the thing that a word means.

    Args:
        names: in the order of their positions; empty for things that are known by their positions alone.
        count: of the things.
        positions: whether a position is understood where names are not numbers.
    """

    def __init__(self, names: Sequence[str], count: int, *, positions: bool = True) -> None:
        self._count, self._positions = count, positions or not names
        self._by_number = are_numbers(names)
        keys = [str(int(name)) for name in names] if self._by_number else list(names)
        self._named = {key: place for place, key in enumerate(keys)}
        spaced = [key for key in keys if key != key.strip()]  # a request has no outer spaces
        self._named |= {key.strip(): self._named[key] for key in spaced if key.strip() not in self._named}
        keys += [key.strip() for key in spaced]
        self._repeated = {key for key, times in Counter(keys).items() if times > 1}

    def position(self, word: str) -> int | None:
        """The position of what a word means; None where it means nothing.

        Raises:
            DataError: when it is the name of two things, or of one and the position of another.
        """
        if word in self._repeated:
            raise DataError(f"{word!r} is the name of more than one; expected names that differ, or ids=FILE")
        number = int(word) if NUMBER.fullmatch(word) else None
        if self._by_number:
            return None if number is None else self._named.get(str(number))
        named = self._named.get(word)
        counted = number if number is not None and number < self._count and self._positions else None
        if named is not None and counted is not None and named != counted:
            raise DataError(
                f"{word!r} is the name of number {named} here, and number {counted} has another name; expected a name "
                "that is no number (rename it), or the ids"
            )
        return counted if named is None else named


def numbered(words: Iterable[str]) -> tuple[list[int], tuple[str, ...]]:
    """A number from 0 for each different word, -1 for an empty one; and the words by their numbers.

    Args:
        words: as they occur.
    """
    given = list(words)
    names = in_order(set(given) - {""})
    places = {name: place for place, name in enumerate(names)}
    return [places.get(word, -1) for word in given], tuple(names)


def as_requested(names: Sequence[str]) -> str:
    """A few names of classes or people as a request names them, where a comma in a name is written with a backslash."""
    return listed([escaped(name) for name in names])


def listed(names: Sequence[str]) -> str:
    """A few names, so that a message about hundreds stays one line."""
    if not names:
        return "none"
    if are_numbers(names) and len(names) > 1:
        numbers = sorted(map(int, names))
        if len(numbers) == numbers[-1] - numbers[0] + 1:
            return f"{numbers[0]} to {numbers[-1]}"
    shown = [f"'{name}'" if "," in name else name for name in names[:SHOWN]]
    last = f", ... {names[-1]}" if len(names) > SHOWN else ""
    return ", ".join(shown) + last
