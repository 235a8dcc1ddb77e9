"""Avg. Gap over bit widths, a line a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, cast

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from obliq.benchmark.report.label_placement import Box, apart, named, shortened, token
from obliq.benchmark.report.overview import Change
from obliq.report.charts import FORGET, INK, MUTED, RETAIN, RULE, TEST, draw_svg

FLOOR = 0.05
"""Smaller values are drawn here: a logarithmic scale has no zero, and differences below mean nothing."""
LETTERS = 8.0  # points
TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def framed(axes: Axes, left: float, right: float, bottom: float, top: float) -> Box:
    """Put the axes at fixed margins (points), so that places are known before anything is drawn."""
    wide, high = extent(axes)
    cast(Figure, axes.figure).set_layout_engine("none")
    axes.set_position(
        (left / wide, bottom / high, (wide - left - right) / wide, (high - bottom - top) / high)
    )
    return Box(left, bottom, wide - right, high - top)


def extent(axes: Axes) -> tuple[float, float]:
    """Width and height of the whole picture, in points."""
    wide, high = cast(Figure, axes.figure).get_size_inches()
    return 72 * float(wide), 72 * float(high)


def logarithmic(axes: Axes, direction: Literal["x", "y"], values: Sequence[float], label: str) -> None:
    """A logarithmic x or y axis that holds the values with some room."""
    axis = axes.xaxis if direction == "x" else axes.yaxis
    low, high = max(FLOOR, min(values, default=FLOOR)), max(FLOOR, max(values, default=1.0))
    limits = (low / 1.35, high * 1.35)
    (axes.set_xscale if direction == "x" else axes.set_yscale)("log")
    (axes.set_xlim if direction == "x" else axes.set_ylim)(*limits)
    within = [tick for tick in TICKS if limits[0] <= tick <= limits[1]]
    axis.set_major_locator(FixedLocator(within))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:g}")
    axis.set_label_text(label, color=MUTED, fontsize=LETTERS)
    axes.tick_params(labelsize=LETTERS, pad=2)
    axes.grid(axis=direction, color=RULE, linewidth=0.6)


def in_points(axes: Axes, x: float, y: float) -> tuple[float, float]:
    """Where a value lies, in points from the lower left corner of the picture."""
    across, up = axes.transData.transform((x, y))
    return float(across) * 72 / axes.figure.dpi, float(up) * 72 / axes.figure.dpi


def bars(found: Sequence[Change], title: str) -> Markup:
    """A bar an ablation: the change of Avg. Gap in points, with its deviation over seeds."""

    def draw(axes: Axes) -> None:
        framed(axes, 10, 10, 32, 6)
        for place, one in enumerate(found):
            _bar(axes, place, one)
        axes.axvline(0, color=MUTED, linewidth=1)
        axes.set_ylim(len(found) - 0.35, -0.75)
        axes.set_yticks([])
        axes.margins(x=0.04)
        axes.grid(axis="x", color=RULE, linewidth=0.6)
        axes.tick_params(labelsize=LETTERS)
        axes.set_xlabel(
            "← nearer to retraining    change of Avg. Gap, points    farther →", color=MUTED, fontsize=LETTERS
        )

    names = {number: shortened(one.method) for number, one in enumerate(found)}
    return named(draw_svg(draw, title, (6.6, (34 * len(found) + 50) / 72)), names)


def _bar(axes: Axes, place: int, one: Change) -> None:
    mean = one.change.mean
    color = FORGET if mean > 0 else TEST
    axes.barh(place, mean, height=0.42, color=color, alpha=0.45 if one.noise else 0.9, linewidth=0)
    if one.change.deviation is not None:
        ends = [mean - one.change.deviation, mean + one.change.deviation]
        axes.plot(ends, [place, place], color=INK, linewidth=1.1)
    axes.text(
        0.005, place - 0.32, token(place),
        transform=axes.get_yaxis_transform(), ha="left", va="baseline", fontsize=LETTERS, color=INK,
    )  # fmt: skip


STYLES: Sequence[tuple[str, object]] = (
    (FORGET, "-"),
    (TEST, (0, (6, 2))),
    (INK, (0, (6, 2, 1, 2))),
    (RETAIN, (0, (1.5, 1.5))),
)
STEP = 10.5  # points between names
MARGIN = 165  # points for names


def lines(
    gaps: Mapping[str, Mapping[str, float]], bits: Sequence[str], leaders: Sequence[str], title: str
) -> Markup:
    """One line a method over the bit widths at which it has a gap.

    Args:
        gaps: by method, then by bit width.
        bits: from left to right.
        leaders: methods to draw in colour, at most four of them; all others are thin.
        title: of the picture, for those who do not see it.
    """
    styles = dict(zip(leaders, STYLES, strict=False))

    def draw(axes: Axes) -> None:
        framed(axes, 38, MARGIN, 24, 12 + STEP * max(0, len(gaps) / 4 - 5))
        values = [value for own in gaps.values() for value in own.values()]
        logarithmic(axes, "y", values, "Avg. Gap, points")
        axes.set_xlim(-0.12, len(bits) - 0.88)
        axes.set_xticks(range(len(bits)), [token(len(gaps) + number) for number in range(len(bits))])
        axes.tick_params(labelsize=LETTERS)
        for name, own in gaps.items():
            color, dashes = styles.get(name, (MUTED, "-"))
            at = [place for place, one in enumerate(bits) if one in own]
            axes.plot(
                at, [max(own[bits[place]], FLOOR) for place in at],
                color=color, linestyle=dashes, linewidth=1.8 if name in styles else 0.7,
                alpha=1 if name in styles else 0.6, marker="o", markersize=3,
            )  # fmt: skip
        _ends(axes, gaps, bits, styles)

    high = max(3.4, (STEP * len(gaps) + 60) / 72)
    names = {number: shortened(name) for number, name in enumerate(gaps)}
    names |= {len(gaps) + number: shortened(one) for number, one in enumerate(bits)}
    return named(draw_svg(draw, title, (6.6, high)), names)


def _ends(
    axes: Axes,
    gaps: Mapping[str, Mapping[str, float]],
    bits: Sequence[str],
    styles: Mapping[str, tuple[str, object]],
) -> None:
    """Names at the right, each with a thin line from where its own line ends."""
    wide, high = extent(axes)
    ends = []
    for own in gaps.values():
        last = max(place for place, one in enumerate(bits) if one in own)
        ends.append(in_points(axes, last, max(own[bits[last]], FLOOR)))
    heights = _within(apart([y for _, y in ends], STEP), 6, high - 6)
    start = wide - MARGIN + 26
    for number, (name, (x, y), height) in enumerate(zip(gaps, ends, heights, strict=True)):
        axes.plot(
            [(x + 4) / wide, (start - 3) / wide], [y / high, height / high],
            transform=axes.figure.transFigure, color=RULE if name not in styles else styles[name][0],
            linewidth=0.6, clip_on=False, zorder=1,
        )  # fmt: skip
        axes.text(
            start / wide, (height - 0.32 * LETTERS) / high, token(number),
            transform=axes.figure.transFigure, ha="left", va="baseline",
            fontsize=LETTERS, color=INK if name in styles else MUTED,
        )  # fmt: skip


def _within(heights: Sequence[float], low: float, high: float) -> Sequence[float]:
    """All of them moved together, so that none is below or above; the picture is high enough for that."""
    shift = max(0.0, low - min(heights)) - max(0.0, max(heights) - high)
    return [height + shift for height in heights]
