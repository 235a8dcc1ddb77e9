"""Avg. Gap over bit widths, a line a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup
from matplotlib.axes import Axes

from obliq.bench.report.axes import FLOOR, LETTERS, extent, framed, in_points, logarithmic
from obliq.bench.report.labels import apart, named, shortened, token
from obliq.report.drawing import FORGET, INK, MUTED, RETAIN, RULE, TEST, svg

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
    return named(svg(draw, title, (6.6, high)), names)


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
