"""Methods as points: two numbers each, with their spread and their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes

from obliq.bench.report.axes import FLOOR, extent, framed, in_points, logarithmic
from obliq.bench.report.labels import Box, named, shortened, token, width
from obliq.bench.report.placement import line_to, placed
from obliq.bench.report.spread import Spread
from obliq.report.drawing import FORGET, INK, MUTED, TEST, svg

SIZE = (7.4, 5.2)  # inches
NAMES = 7.0  # points


@dataclass(frozen=True, kw_only=True)
class Point:
    """A method's place.

    Attributes:
        name: beside the point.
        x, y: means with deviations.
        reference: drawn hollow.
        best: drawn larger.
    """

    name: str
    x: Spread
    y: Spread
    reference: bool = False
    best: bool = False


def scatter(
    points: Sequence[Point],
    labels: tuple[str, str],
    title: str,
    *,
    upright: float | None = None,
    level: float | None = None,
) -> tuple[Markup, Sequence[str]]:
    """The points on two logarithmic axes, and the names for which there was no room.

    Args:
        points: in the order in which their names are placed.
        labels: of the two axes.
        title: of the picture, for those who do not see it.
        upright: value of x at which a dashed line is drawn.
        level: value of y at which another is.
    """
    left_out: list[str] = []

    def draw(axes: Axes) -> None:
        room = framed(axes, 38, 12, 34, 8)
        across, up = [one.x.mean for one in points], [one.y.mean for one in points]
        logarithmic(axes, "x", across if upright is None else [*across, upright], labels[0])
        logarithmic(axes, "y", up if level is None else [*up, level], labels[1])
        dashed: dict[str, Any] = {"color": MUTED, "linewidth": 0.9, "linestyle": (0, (4, 3)), "zorder": 1}
        if upright is not None:
            axes.axvline(upright, **dashed)
        if level is not None:
            axes.axhline(max(level, FLOOR), **dashed)
        for one in points:
            _mark(axes, one)
        left_out.extend(_name(axes, points, room))

    names = {number: shortened(one.name) for number, one in enumerate(points)}
    return named(svg(draw, title, SIZE), names), left_out


def _mark(axes: Axes, one: Point) -> None:
    x, y = max(one.x.mean, FLOOR), max(one.y.mean, FLOOR)
    color = MUTED if one.reference else FORGET if one.best else TEST
    for along, own in (("x", one.x), ("y", one.y)):
        if own.deviation is not None:
            ends = [max(own.mean - own.deviation, FLOOR / 2), max(own.mean + own.deviation, FLOOR)]
            bar = (ends, [y, y]) if along == "x" else ([x, x], ends)
            axes.plot(*bar, color=color, linewidth=0.8, alpha=0.45, zorder=2)
    filling = "none" if one.reference else color
    axes.plot(
        [x], [y],
        marker="D" if one.reference else "o", markersize=6.5 if one.best else 4.5,
        color=color, markerfacecolor=filling, zorder=3,
    )  # fmt: skip


def _name(axes: Axes, points: Sequence[Point], room: Box) -> Sequence[str]:
    """Put the names; those without room are given back."""
    places = [in_points(axes, max(one.x.mean, FLOOR), max(one.y.mean, FLOOR)) for one in points]
    sizes = [(width(shortened(one.name), NAMES) + 2, NAMES * 1.15) for one in points]
    boxes = placed(places, sizes, room)
    wide, high = extent(axes)
    for number, (one, (x, y), box) in enumerate(zip(points, places, boxes, strict=True)):
        if box is None:
            continue
        if (line := line_to((x, y), box)) is not None:
            to_x, to_y = line[1]
            axes.plot(
                [x / wide, to_x / wide], [y / high, to_y / high],
                transform=axes.figure.transFigure, color=MUTED, linewidth=0.5, zorder=1.5,
            )  # fmt: skip
        # towards its point: real letters are narrower than the room kept for them
        aligned = "right" if box.right < x else "left" if box.left > x else "center"
        anchor = {"left": box.left, "right": box.right, "center": (box.left + box.right) / 2}[aligned]
        axes.text(
            anchor / wide, (box.bottom + 0.27 * NAMES) / high, token(number),
            transform=axes.figure.transFigure, ha=aligned, va="baseline",
            fontsize=NAMES, color=MUTED if one.reference else INK,
        )  # fmt: skip
    return [one.name for one, box in zip(points, boxes, strict=True) if box is None]
