"""How each chart is drawn: the scatter of methods, the bars of ablations, the lines over bit widths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes

from obliq.benchmark.report.ablations import AblationEffect
from obliq.benchmark.report.axes import FLOOR, LETTERS, in_points, picture_size, set_log_axis, set_margins
from obliq.benchmark.report.label_placement import (
    Box,
    insert_names,
    leader_line,
    place_labels,
    shorten,
    spread_apart,
    text_width,
    token,
)
from obliq.benchmark.report.statistics import Spread
from obliq.report.drawing import FORGET, INK, MUTED, RETAIN, RULE, TEST, draw_svg

SIZE = (7.4, 5.2)  # inches
NAME_SIZE = 7.0  # points


@dataclass(frozen=True, kw_only=True)
class ChartPoint:
    """A method's place.

    Attributes:
        name: next to the point.
        x, y: means with deviations.
        reference: drawn hollow.
        best: drawn larger.
    """

    name: str
    x: Spread
    y: Spread
    reference: bool = False
    best: bool = False


def scatter_chart(
    points: Sequence[ChartPoint],
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
        title: of the picture, for screen readers.
        upright: value of x at which a dashed line is drawn.
        level: value of y at which another is.
    """
    left_out: list[str] = []

    def draw(axes: Axes) -> None:
        room = set_margins(axes, 38, 12, 34, 8)
        across, up = [one.x.mean for one in points], [one.y.mean for one in points]
        set_log_axis(axes, "x", across if upright is None else [*across, upright], labels[0])
        set_log_axis(axes, "y", up if level is None else [*up, level], labels[1])
        dashed: dict[str, Any] = {"color": MUTED, "linewidth": 0.9, "linestyle": (0, (4, 3)), "zorder": 1}
        if upright is not None:
            axes.axvline(upright, **dashed)
        if level is not None:
            axes.axhline(max(level, FLOOR), **dashed)
        for one in points:
            _mark(axes, one)
        left_out.extend(_name(axes, points, room))

    names = {number: shorten(one.name) for number, one in enumerate(points)}
    return insert_names(draw_svg(draw, title, SIZE), names), left_out


def _mark(axes: Axes, one: ChartPoint) -> None:
    x, y = max(one.x.mean, FLOOR), max(one.y.mean, FLOOR)
    color = MUTED if one.reference else FORGET if one.best else TEST
    for along, own in (("x", one.x), ("y", one.y)):
        if own.deviation is not None:
            ends = [max(own.mean - own.deviation, FLOOR / 2), max(own.mean + own.deviation, FLOOR)]
            bar = (ends, [y, y]) if along == "x" else ([x, x], ends)
            axes.plot(*bar, color=color, linewidth=0.8, alpha=0.45, zorder=2)
    filling = "none" if one.reference else color
    axes.plot(
        [x],
        [y],
        marker="D" if one.reference else "o",
        markersize=6.5 if one.best else 4.5,
        color=color,
        markerfacecolor=filling,
        zorder=3,
    )


def _name(axes: Axes, points: Sequence[ChartPoint], room: Box) -> Sequence[str]:
    """Place the names. Returns those without room."""
    places = [in_points(axes, max(one.x.mean, FLOOR), max(one.y.mean, FLOOR)) for one in points]
    sizes = [(text_width(shorten(one.name), NAME_SIZE) + 2, NAME_SIZE * 1.15) for one in points]
    boxes = place_labels(places, sizes, room)
    wide, high = picture_size(axes)
    for number, (one, (x, y), box) in enumerate(zip(points, places, boxes, strict=True)):
        if box is None:
            continue
        if (line := leader_line((x, y), box)) is not None:
            to_x, to_y = line[1]
            axes.plot(
                [x / wide, to_x / wide],
                [y / high, to_y / high],
                transform=axes.figure.transFigure,
                color=MUTED,
                linewidth=0.5,
                zorder=1.5,
            )
        # aligned towards its point, as real letters are narrower than the space reserved for them
        aligned = "right" if box.right < x else "left" if box.left > x else "center"
        anchor = {"left": box.left, "right": box.right, "center": (box.left + box.right) / 2}[aligned]
        axes.text(
            anchor / wide,
            (box.bottom + 0.27 * NAME_SIZE) / high,
            token(number),
            transform=axes.figure.transFigure,
            ha=aligned,
            va="baseline",
            fontsize=NAME_SIZE,
            color=MUTED if one.reference else INK,
        )
    return [one.name for one, box in zip(points, boxes, strict=True) if box is None]


def ablation_chart(effects: Sequence[AblationEffect], title: str) -> Markup:
    """One bar per ablation: the change of Avg. Gap in points, with its deviation over seeds."""

    def draw(axes: Axes) -> None:
        set_margins(axes, 10, 10, 32, 6)
        for place, one in enumerate(effects):
            _bar(axes, place, one)
        axes.axvline(0, color=MUTED, linewidth=1)
        axes.set_ylim(len(effects) - 0.35, -0.75)
        axes.set_yticks([])
        axes.margins(x=0.04)
        axes.grid(axis="x", color=RULE, linewidth=0.6)
        axes.tick_params(labelsize=LETTERS)
        axes.set_xlabel(
            "← nearer to retraining    change of Avg. Gap, points    farther →", color=MUTED, fontsize=LETTERS
        )

    names = {number: shorten(one.method) for number, one in enumerate(effects)}
    return insert_names(draw_svg(draw, title, (6.6, (34 * len(effects) + 50) / 72)), names)


def _bar(axes: Axes, place: int, one: AblationEffect) -> None:
    mean = one.change.mean
    color = FORGET if mean > 0 else TEST
    axes.barh(place, mean, height=0.42, color=color, alpha=0.45 if one.noise else 0.9, linewidth=0)
    if one.change.deviation is not None:
        ends = [mean - one.change.deviation, mean + one.change.deviation]
        axes.plot(ends, [place, place], color=INK, linewidth=1.1)
    axes.text(
        0.005,
        place - 0.32,
        token(place),
        transform=axes.get_yaxis_transform(),
        ha="left",
        va="baseline",
        fontsize=LETTERS,
        color=INK,
    )


STYLES: Sequence[tuple[str, object]] = (
    (FORGET, "-"),
    (TEST, (0, (6, 2))),
    (INK, (0, (6, 2, 1, 2))),
    (RETAIN, (0, (1.5, 1.5))),
)
STEP = 10.5  # points between names
MARGIN = 165  # points for names


def bit_width_chart(
    gaps: Mapping[str, Mapping[str, float]], bits: Sequence[str], leaders: Sequence[str], title: str
) -> Markup:
    """One line per method over the bit widths at which it has a gap.

    Args:
        gaps: by method, then by bit width.
        bits: from left to right.
        leaders: methods to draw in colour, at most four of them; all others are thin.
        title: of the picture, for screen readers.
    """
    styles = dict(zip(leaders, STYLES, strict=False))

    def draw(axes: Axes) -> None:
        set_margins(axes, 38, MARGIN, 24, 12 + STEP * max(0, len(gaps) / 4 - 5))
        values = [value for own in gaps.values() for value in own.values()]
        set_log_axis(axes, "y", values, "Avg. Gap, points")
        axes.set_xlim(-0.12, len(bits) - 0.88)
        axes.set_xticks(range(len(bits)), [token(len(gaps) + number) for number in range(len(bits))])
        axes.tick_params(labelsize=LETTERS)
        for name, own in gaps.items():
            color, dashes = styles.get(name, (MUTED, "-"))
            at = [place for place, one in enumerate(bits) if one in own]
            axes.plot(
                at,
                [max(own[bits[place]], FLOOR) for place in at],
                color=color,
                linestyle=dashes,
                linewidth=1.8 if name in styles else 0.7,
                alpha=1 if name in styles else 0.6,
                marker="o",
                markersize=3,
            )
        _ends(axes, gaps, bits, styles)

    high = max(3.4, (STEP * len(gaps) + 60) / 72)
    names = {number: shorten(name) for number, name in enumerate(gaps)}
    names |= {len(gaps) + number: shorten(one) for number, one in enumerate(bits)}
    return insert_names(draw_svg(draw, title, (6.6, high)), names)


def _ends(
    axes: Axes,
    gaps: Mapping[str, Mapping[str, float]],
    bits: Sequence[str],
    styles: Mapping[str, tuple[str, object]],
) -> None:
    """Names at the right, each with a thin line from where its own line ends."""
    wide, high = picture_size(axes)
    ends = []
    for own in gaps.values():
        last = max(place for place, one in enumerate(bits) if one in own)
        ends.append(in_points(axes, last, max(own[bits[last]], FLOOR)))
    heights = _within(spread_apart([y for _, y in ends], STEP), 6, high - 6)
    start = wide - MARGIN + 26
    for number, (name, (x, y), height) in enumerate(zip(gaps, ends, heights, strict=True)):
        axes.plot(
            [(x + 4) / wide, (start - 3) / wide],
            [y / high, height / high],
            transform=axes.figure.transFigure,
            color=RULE if name not in styles else styles[name][0],
            linewidth=0.6,
            clip_on=False,
            zorder=1,
        )
        axes.text(
            start / wide,
            (height - 0.32 * LETTERS) / high,
            token(number),
            transform=axes.figure.transFigure,
            ha="left",
            va="baseline",
            fontsize=LETTERS,
            color=INK if name in styles else MUTED,
        )


def _within(heights: Sequence[float], low: float, high: float) -> Sequence[float]:
    """All heights moved together, so that none is below or above the picture, which is high enough for that."""
    shift = max(0.0, low - min(heights)) - max(0.0, max(heights) - high)
    return [height + shift for height in heights]
