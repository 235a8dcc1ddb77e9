"""Where the names of points go, so that none lies over another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from obliq.bench.report.labels import Box, Line

RADII = (5, 8, 12, 17, 23, 30, 38, 48, 60, 75, 92, 112, 135, 160, 190)  # points
DIRECTIONS = 24
NEAR = 8.0
"""A name at most this far from its point needs no line to it."""
THROUGH_NAME, THROUGH_DOT, THROUGH_LINE = 50.0, 12.0, 12.0
"""What it costs when a line crosses something, in points of distance that one would rather walk."""


def placed(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    bounds: Box,
    marker: float = 3.5,
) -> list[Box | None]:
    """A place for each point's label: within the bounds, over no other label and over no point.

    Greedy, in the order of the points: the place that is cheapest, counting its distance and what the line
    between point and label would cross. None where there is no room.

    Args:
        points: x and y, in points (1/72 inch).
        sizes: width and height of the labels.
        bounds: within which labels must lie.
        marker: half the side of the square that is kept free around each point.
    """
    dots = [Box(x - marker, y - marker, x + marker, y + marker) for x, y in points]
    taken: list[Box | None] = []
    lines: list[Line] = []
    for place, size in zip(points, sizes, strict=True):
        labels = [box for box in taken if box is not None]
        others = [dot for dot, point in zip(dots, points, strict=True) if point != place]
        cheapest, cost = None, math.inf
        for radius, box in _candidates(place, size):
            if radius >= cost:
                break  # candidates come by distance, and crossings only add to it
            if not bounds.holds(box) or any(box.meets(other) for other in (*dots, *labels)):
                continue
            own = radius + _crossings(line_to(place, box), box, labels, others, lines)
            if own < cost:
                cheapest, cost = box, own
        taken.append(cheapest)
        line = None if cheapest is None else line_to(place, cheapest)
        lines += [line] if line is not None else []
    return taken


def line_to(place: tuple[float, float], box: Box) -> Line | None:
    """From a point to its label; None where it is so near that no line is needed."""
    end = box.nearest(*place)
    return (place, end) if math.dist(place, end) > NEAR else None


def _candidates(place: tuple[float, float], size: tuple[float, float]) -> Iterator[tuple[float, Box]]:
    """Boxes around a point, nearest first; on each circle those to the right come first."""
    (x, y), (wide, high) = place, size
    for radius in RADII:
        for number in range(DIRECTIONS):
            # 0, 1, -1, 2, -2, ...: from the right around both sides to the left
            turn = (number + 1) // 2 * (1 if number % 2 else -1)
            across, up = (
                math.cos(2 * math.pi * turn / DIRECTIONS),
                math.sin(2 * math.pi * turn / DIRECTIONS),
            )
            left = x + radius * across - wide * (1 - across) / 2
            bottom = y + radius * up - high * (1 - up) / 2
            yield radius, Box(left, bottom, left + wide, bottom + high)


def _crossings(
    line: Line | None, box: Box, labels: Sequence[Box], dots: Sequence[Box], lines: Sequence[Line]
) -> float:
    """What a label and its line cost besides their distance."""
    cost = THROUGH_NAME * sum(box.crossed(other) for other in lines)
    if line is None:
        return cost
    return (
        cost
        + THROUGH_NAME * sum(label.crossed(line) for label in labels)
        + THROUGH_DOT * sum(dot.crossed(line) for dot in dots)
        + THROUGH_LINE * sum(_cross(line, other) for other in lines)
    )


def _cross(first: Line, second: Line) -> bool:
    """Whether two lines cross: the ends of each lie on both sides of the other."""

    def side(line: Line, point: tuple[float, float]) -> float:
        (x, y), (to_x, to_y) = line
        return (to_x - x) * (point[1] - y) - (to_y - y) * (point[0] - x)

    return (
        side(first, second[0]) * side(first, second[1]) < 0
        and side(second, first[0]) * side(second, first[1]) < 0
    )
