"""Names in pictures: how wide they are, where they fit, and how they get into a drawing unharmed."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

LONGEST = 34  # characters
EM = 0.56  # of the letter size: above the average width of letters in the fonts that pages are read in


@dataclass(frozen=True)
class Box:
    """An upright rectangle, in points from the lower left corner of the picture."""

    left: float
    bottom: float
    right: float
    top: float

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """The point of the box that is nearest to another point."""
        return min(max(x, self.left), self.right), min(max(y, self.bottom), self.top)


def shortened(name: str) -> str:
    """One line of at most `LONGEST` characters."""
    line = " ".join(name.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def width(text: str, size: float) -> float:
    """About how wide the text is, in points; wide scripts count nearly double."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return size * (EM * (len(text) - wide) + wide)


def apart(wanted: Sequence[float], gap: float) -> list[float]:
    """Heights as near as possible to those wanted, in their order, neighbours at least `gap` apart.

    Heights that are too near each other share their middle (isotonic regression by pooling).
    """
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    pools: list[tuple[float, int]] = []  # of wanted minus the room that those below need: mean, how many
    for place, index in enumerate(order):
        mean, count = wanted[index] - gap * place, 1
        while pools and pools[-1][0] > mean:
            below, many = pools.pop()
            mean, count = (below * many + mean * count) / (many + count), many + count
        pools.append((mean, count))
    bases = [mean for mean, count in pools for _ in range(count)]
    heights = [0.0] * len(wanted)
    for place, index in enumerate(order):
        heights[index] = bases[place] + gap * place
    return heights


def token(number: int) -> str:
    """Stands for a name while the picture is drawn: matplotlib reads formulas into some names."""
    return f"@{number}@"


def named(drawing: Markup, names: Mapping[int, str]) -> Markup:
    """The drawing with names, escaped, in the place of their tokens."""
    text = str(drawing)
    for number, name in names.items():
        text = text.replace(f">{token(number)}<", f">{escape(name)}<")
    # all but the names was made by matplotlib, and these are escaped
    return Markup(text)
