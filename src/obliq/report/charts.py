"""The charts of an audit report, each from numbers to a drawing.

Forgotten samples are drawn filled, unseen ones solid, retained ones dotted: readable without colour.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from obliq.auditing import Histogram, Interval
from obliq.auditing.reference_comparison import Comparison
from obliq.report.content import Row
from obliq.report.drawing import BAND, FORGET, INK, MUTED, RETAIN, RULE, TEST, draw_svg

CONFIDENCE_TICKS = {0.001: "0.1 %", 0.05: "5 %", 0.5: "50 %", 0.95: "95 %", 0.999: "99.9 %"}
ENTROPY_TICKS = {0.0: "certain", 1.0: "guessing"}
LABEL_SIZE = 10  # points


def distribution_chart(
    histograms: Mapping[str, Histogram], measure: str, title: str, highest: float
) -> Markup:
    """Shares of forget, test and retain samples by `confidence` or `entropy`, in percent of each role.

    Args:
        histograms: by role.
        measure: `confidence` or `entropy`.
        title: the chart in words.
        highest: the largest share in any of the charts that this one is compared with, 0 to 1.
    """
    confidence = measure == "confidence"
    place = _logit if confidence else float

    def draw(axes: Axes) -> None:
        for role in ("retain", "test", "forget"):
            if role in histograms:
                _outline(axes, histograms[role], role, place)
        ticks = CONFIDENCE_TICKS if confidence else ENTROPY_TICKS
        axes.set_xticks([place(value) for value in ticks], list(ticks.values()))
        axes.set_ylim(0, 105 * highest)
        axes.margins(x=0.01)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter("{x:g} %")
        axes.set_xlabel(
            "confidence in the true class" if confidence else "entropy", color=MUTED, size=LABEL_SIZE
        )
        axes.tick_params(labelsize=LABEL_SIZE)

    return draw_svg(draw, title)


def _outline(axes: Axes, histogram: Histogram, role: str, place: Callable[[float], float]) -> None:
    edges = [place(edge) for edge in histogram.edges]
    shares = [100 * share for share in histogram.shares]
    if role == "forget":
        axes.stairs(shares, edges, fill=True, color=FORGET, alpha=0.30)
        axes.stairs(shares, edges, color=FORGET, linewidth=1.6)
    elif role == "test":
        axes.stairs(shares, edges, color=TEST, linewidth=1.6)
    else:
        axes.stairs(shares, edges, color=RETAIN, linewidth=1.2, linestyle=(0, (1.5, 1.5)))


def _logit(confidence: float) -> float:
    """The log-odds; the open ends become one bin as wide as the others, since the outermost edges are +-7."""
    if confidence <= 0 or confidence >= 1:
        return math.copysign(8.0, confidence - 0.5)
    return math.log(confidence / (1 - confidence))


def trace_chart(
    rows_by_name: Mapping[str, Sequence[Row]],
    value: str,
    title: str,
    *,
    level: float | None = None,
    scale: float = 1,
) -> Markup:
    """One line per name: `value` times `scale` over the steps that recorded it.

    Args:
        rows_by_name: rows of a trace.
        value: the field to draw.
        title: the chart in words.
        level: where to draw a thin horizontal line.
        scale: for instance 100 for a share in percent.
    """

    def draw(axes: Axes) -> None:
        if level is not None:
            axes.axhline(level, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        for number, rows in enumerate(rows_by_name.values()):
            _line(axes, rows, value, number, scale)

    return draw_svg(draw, title)


def prediction_chart(
    rows: Sequence[Row], predicted: str, measured: str, title: str, limits: tuple[float, float]
) -> Markup:
    """Two lines over the steps: what first-order theory predicts, and what was measured on the quantized network.

    Args:
        rows: of a trace.
        predicted: the field of the prediction.
        measured: the field of the measurement.
        title: the chart in words.
        limits: ends of the upright axis, the same in charts that are compared.
    """

    def draw(axes: Axes) -> None:
        axes.axhline(0, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        _line(axes, rows, measured, 0, 1)
        _line(axes, rows, predicted, 1, 1)
        axes.set_ylim(*limits)

    return draw_svg(draw, title)


STYLES: Sequence[tuple[str, float, object]] = (
    (FORGET, 1.6, "-"),
    (TEST, 1.6, (0, (5, 2))),
    (RETAIN, 1.4, (0, (1.5, 1.5))),
    (INK, 1.2, (0, (6, 2, 1, 2))),
)


def _line(axes: Axes, rows: Sequence[Row], value: str, number: int, scale: float) -> None:
    points = [(float(row["step"]), scale * float(row[value])) for row in rows if value in row]
    color, width, dashes = STYLES[number % len(STYLES)]
    steps, values = [point[0] for point in points], [point[1] for point in points]
    axes.plot(
        steps, values, color=color, linewidth=width, linestyle=dashes, marker="." if len(points) == 1 else ""
    )
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(labelsize=LABEL_SIZE)


def interval_chart(
    value: float,
    interval: Interval,
    aim: float | None,
    limits: tuple[float, float],
    ticks: Sequence[float],
    title: str,
    kind: str,
    band: tuple[float, float] | None = None,
) -> Markup:
    """One row of an interval chart: a point with its interval, and the aim as an upright line.

    Args:
        value: of the network.
        interval: its 95 % interval.
        aim: the value to aim at; None where it is not known, which draws no line.
        limits: ends of the axis, the same in every row.
        ticks: where to draw thin upright lines; the page writes the numbers below the last row.
        title: the chart in words.
        kind: original, unlearned or retrained.
        band: where one more retrained network would lie; None where that is not known.
    """
    color = {"original": INK, "unlearned": FORGET, "retrained": TEST}[kind]

    def draw(axes: Axes) -> None:
        if band is not None:
            axes.axvspan(*band, color=BAND, linewidth=0)
        for tick in ticks:
            axes.axvline(tick, color=RULE, linewidth=0.8)
        if aim is not None:
            axes.axvline(aim, color=MUTED, linewidth=1.2, linestyle=(0, (4, 2)))
        axes.plot([interval.low, interval.high], [0, 0], color=color, linewidth=2.2, solid_capstyle="round")
        axes.plot([value], [0], color=color, marker="o", markersize=7)
        axes.set_xlim(*limits)
        _without_axes(axes)

    return draw_svg(draw, title, size=(5.2, 0.36), margins=False)


REACH = 3.0
"""Where the axis of a band chart ends, in half widths of the band. A value beyond it is an arrow at the end."""


def band_chart(one: Comparison, title: str) -> Markup:
    """One statistic: the band of the retrained networks, their points, and the network before and after.

    The dark part of the band is the range in which the network passes.

    Every chart has the same axis: the band reaches from -1 to 1, or from the end of the axis where only one side
    counts. Charts below each other therefore have their bands below each other, whatever the unit.

    Args:
        one: the statistic.
        title: the chart in words.
    """
    low = one.low if one.low is not None else 2 * one.centre - (one.high or 0.0)
    high = one.high if one.high is not None else 2 * one.centre - low
    middle, half = (low + high) / 2, (high - low) / 2 or 1.0
    value, original, *references = (
        (each - middle) / half for each in (one.value, one.original, *one.references)
    )

    def draw(axes: Axes) -> None:
        band = (-REACH if one.low is None else -1.0, REACH if one.high is None else 1.0)
        axes.axvspan(*band, color=BAND, linewidth=0)
        axes.axvspan(*_passing(one, middle, half), color=MUTED, alpha=0.2, linewidth=0)
        for end in band:
            if abs(end) < REACH:
                axes.axvline(end, color=MUTED, linewidth=0.8)
        axes.axhline(0, color=RULE, linewidth=0.8)
        for reference in references:
            axes.plot(*_placed(reference, -0.45), color=TEST, marker="|", markersize=7, markeredgewidth=1.6)
        hollow: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": INK, "markeredgewidth": 1.5}
        axes.plot(*_placed(original, 0), marker=_marker(original), markersize=7, linestyle="", **hollow)
        axes.plot(*_placed(value, 0), color=FORGET, marker=_marker(value), markersize=7)
        axes.set_xlim(-REACH - 0.15, REACH + 0.15)
        _without_axes(axes)

    return draw_svg(draw, title, size=(5.2, 0.36), margins=False)


def _passing(one: Comparison, middle: float, half: float) -> tuple[float, float]:
    """The range in which the network passes, on the axis of its chart."""
    low, high = one.passing
    return (
        -REACH if low is None else (low - middle) / half,
        REACH if high is None else (high - middle) / half,
    )


def _placed(value: float, height: float) -> tuple[Sequence[float], Sequence[float]]:
    return [min(max(value, -REACH), REACH)], [height]


def _marker(value: float) -> str:
    return "<" if value < -REACH else ">" if value > REACH else "o"


def _without_axes(axes: Axes) -> None:
    axes.set_ylim(-1, 1)
    axes.set_yticks([])
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.grid(visible=False)
