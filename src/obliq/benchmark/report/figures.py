"""Which pictures a report has, and the words around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes

from obliq.benchmark.report.charts import FLOOR, bars, extent, framed, in_points, lines, logarithmic
from obliq.benchmark.report.label_placement import Box, line_to, named, placed, shortened, token, width
from obliq.benchmark.report.measures import FORGET_SIDE, GAP, RETAIN_SIDE, TIME, Reading
from obliq.benchmark.report.overview import Change, over_cells
from obliq.benchmark.report.statistics import (
    AGAIN,
    REFERENCES,
    RETRAINED,
    CellRows,
    Spread,
    precision,
    spread,
)
from obliq.benchmark.report.summaries import readings
from obliq.benchmark.report.tables import NAMES
from obliq.report.charts import FORGET, INK, MUTED, TEST, draw_svg
from obliq.report.page import Figure

SIZE = (7.4, 5.2)  # inches
NAME_SIZE = 7.0  # points


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
    return named(draw_svg(draw, title, SIZE), names), left_out


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
    sizes = [(width(shortened(one.name), NAME_SIZE) + 2, NAME_SIZE * 1.15) for one in points]
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
            anchor / wide, (box.bottom + 0.27 * NAME_SIZE) / high, token(number),
            transform=axes.figure.transFigure, ha=aligned, va="baseline",
            fontsize=NAME_SIZE, color=MUTED if one.reference else INK,
        )  # fmt: skip
    return [one.name for one, box in zip(points, boxes, strict=True) if box is None]


COLORED = 4


def trade_off(groups: Sequence[CellRows], ranked: Sequence[str], where: str) -> Figure | None:
    """Distance to Retrain on the forget side against the retain side, over one or several cells."""
    points = _points(groups, ranked, RETAIN_SIDE, FORGET_SIDE)
    if not points:
        return None
    axes = (
        "distance to Retrain on retained and unseen samples: mean of |ΔRA|, |ΔTA|, points",
        "on forgotten samples: mean of |ΔUA|, |ΔMIA|, points",
    )
    drawing, left_out = scatter(points, axes, f"Distance to Retrain on both sides, {where}")
    note = f"nearer to the lower left corner is nearer to retraining; {_read(groups)}"
    return Figure("What forgetting costs in accuracy", drawing, _noted(note, left_out))


def cost(groups: Sequence[CellRows], ranked: Sequence[str], where: str) -> Figure | None:
    """Time ratio against Avg. Gap, over one or several cells."""
    points = _points(groups, ranked, TIME.read, GAP.read)
    if not points:
        return None
    floor = over_cells(groups, AGAIN, GAP.read)
    drawing, left_out = scatter(
        points,
        ("time over Retrain's time", "Avg. Gap, points"),
        f"Time and Avg. Gap, {where}",
        upright=1.0,
        level=floor.mean if floor else None,
    )
    note = f"dashed: Retrain's time{' and the noise floor' if floor else ''}; {_read(groups)}"
    return Figure("What forgetting costs in time", drawing, _noted(note, left_out))


def _points(
    groups: Sequence[CellRows], ranked: Sequence[str], across: Reading, up: Reading
) -> Sequence[Point]:
    """The contenders in their order, then the networks to compare with; Retrain itself is the aim, no point."""
    present = {name for group in groups for name in group.rows}
    contenders = [name for name in ranked if name in present]
    found = []
    for name in (*contenders, *(one for one in REFERENCES if one in present and one != RETRAINED)):
        x, y = over_cells(groups, name, across), over_cells(groups, name, up)
        if x is not None and y is not None:
            reference = name in REFERENCES
            shown = NAMES[name] if reference else name
            best = name == ranked[0] if ranked else False
            found.append(Point(name=shown, x=x, y=y, reference=reference, best=best))
    return found


def _read(groups: Sequence[CellRows]) -> str:
    several = any(len(group.seeds) > 1 for group in groups)
    return "both scales logarithmic, below 0.05 drawn at 0.05" + (
        "; bars: one standard deviation over seeds" if several else ""
    )


def _noted(note: str, left_out: Sequence[str]) -> str:
    return f"{note}; no room for the names of {', '.join(left_out)}" if left_out else note


def over_bits(groups: Sequence[CellRows], ranked: Sequence[str]) -> Sequence[Figure]:
    """Avg. Gap over bit widths, one picture for each kind of cell that was run at several."""
    found = []
    for (data, architecture, scenario), several in groupby(
        groups, key=lambda one: (one.cell.data, one.cell.architecture, one.cell.scenario)
    ):
        same = list(several)
        gaps = {name: own for name in (*ranked, AGAIN) if (own := _by_bits(same, name))}
        bits = sorted({one for own in gaps.values() for one in own}, key=lambda one: (precision(one), one))
        if len(bits) < 2:
            continue
        where = f"{scenario} · {data} · {architecture}"
        drawing = lines(
            {NAMES.get(name, name): own for name, own in gaps.items()},
            bits, ranked[:COLORED], f"Avg. Gap over bit widths, {where}",
        )  # fmt: skip
        found.append(
            Figure(where, drawing, "Avg. Gap, mean over seeds, logarithmic; in colour: the first four")
        )
    return found


def _by_bits(groups: Sequence[CellRows], name: str) -> dict[str, float]:
    means = {group.cell.bits: spread(readings(group, name, GAP.read).values()) for group in groups}
    return {bits: mean.mean for bits, mean in means.items() if mean is not None}


def ablation_bars(found: Sequence[Change]) -> Sequence[Figure]:
    """One picture for each contender that ablations follow."""
    pictures = []
    for followed in dict.fromkeys(one.follows for one in found):
        own = [one for one in found if one.follows == followed]
        note = "bars: mean change, lines: one standard deviation over seeds, pale: within noise"
        heading = f"{followed}: what each change does to Avg. Gap"
        pictures.append(Figure(heading, bars(own, heading), note))
    return pictures
