"""Names in pictures: how wide they are, where they fit, and how they get into a drawing unharmed."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

LONGEST = 34  # characters
EM = 0.56  # of the letter size: above the average width of letters in the fonts that pages are read in
RADII = (5, 9, 14, 20, 28, 38, 50, 64, 80, 100, 125, 155, 190)
DIRECTIONS = 24


@dataclass(frozen=True)
class Box:
    """An upright rectangle, in points from the lower left corner of the picture."""

    left: float
    bottom: float
    right: float
    top: float

    def meets(self, other: Box) -> bool:
        """Whether the two have a point in common."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.bottom < other.top
            and other.bottom < self.top
        )

    def holds(self, other: Box) -> bool:
        """Whether the other one lies wholly inside."""
        return (
            self.left <= other.left
            and other.right <= self.right
            and self.bottom <= other.bottom
            and other.top <= self.top
        )

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


def placed(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    bounds: Box,
    marker: float = 4.0,
) -> list[Box | None]:
    """A place for each point's label, none over another label, a point, or another's leader line.

    Greedy, in the order of the points: the nearest free place on growing circles. None where there is no
    room within the bounds.
    """
    dots = [Box(x - marker, y - marker, x + marker, y + marker) for x, y in points]
    boxes: list[Box | None] = []
    leaders: list[Sequence[Box]] = []
    for (x, y), (wide, high) in zip(points, sizes, strict=True):
        taken = [box for box in boxes if box is not None]
        for candidate in _candidates(x, y, wide, high):
            leader = _leader(x, y, candidate)
            if (
                bounds.holds(candidate)
                and not any(candidate.meets(box) for box in [*taken, *dots])
                and not any(candidate.meets(spot) for line in leaders for spot in line)
                and not any(spot.meets(box) for spot in leader for box in taken)
            ):
                boxes.append(candidate)
                leaders.append(leader)
                break
        else:
            boxes.append(None)
    return boxes


def _candidates(x: float, y: float, wide: float, high: float) -> Sequence[Box]:
    """Boxes around a point, nearest first; on each circle those to the right come first."""
    found = []
    for radius in RADII:
        for number in range(DIRECTIONS):
            # 0, 1, -1, 2, -2, ...: from the right around both sides to the left
            turn = (number + 1) // 2 * (1 if number % 2 else -1)
            angle = 2 * math.pi * turn / DIRECTIONS
            across, up = math.cos(angle), math.sin(angle)
            left = x + radius * across - wide * (1 - across) / 2
            bottom = y + radius * up - high * (1 - up) / 2
            found.append(Box(left, bottom, left + wide, bottom + high))
    return found


def _leader(x: float, y: float, box: Box) -> Sequence[Box]:
    """The line from the point to its label as a row of small boxes."""
    to_x, to_y = box.nearest(x, y)
    steps = max(1, int(math.hypot(to_x - x, to_y - y) / 3))
    spots = [(x + (to_x - x) * step / steps, y + (to_y - y) * step / steps) for step in range(steps)]
    return [Box(a - 0.5, b - 0.5, a + 0.5, b + 0.5) for a, b in spots]


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
