"""An audit's numbers as pictures.

Forgotten samples are filled, unseen ones solid, retained ones dotted: readable without colour.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from obliq.audit import Histogram, Interval
from obliq.report.drawing import FORGET, INK, MUTED, RETAIN, TEST, svg
from obliq.report.story import Row

CONFIDENCE_TICKS = {0.001: "0.1 %", 0.1: "10 %", 0.5: "50 %", 0.9: "90 %", 0.999: "99.9 %"}
ENTROPY_TICKS = {0.0: "certain", 0.5: "half", 1.0: "guessing"}


def distribution(histograms: Mapping[str, Histogram], measure: str, title: str) -> Markup:
    """Shares of forget, test and retain samples by `confidence` or `entropy`, in percent of each role."""
    confidence = measure == "confidence"
    place = _logit if confidence else float

    def draw(axes: Axes) -> None:
        for role in ("retain", "test", "forget"):
            if role in histograms:
                _outline(axes, histograms[role], role, place)
        ticks = CONFIDENCE_TICKS if confidence else ENTROPY_TICKS
        axes.set_xticks([place(value) for value in ticks], list(ticks.values()))
        axes.set_ylim(bottom=0)
        axes.margins(x=0.01)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter("{x:g} %")

    return svg(draw, title)


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
    """Even steps in log-odds; the open ends become one bin of the usual width."""
    if confidence <= 0 or confidence >= 1:
        return math.copysign(8.0, confidence - 0.5)
    return math.log(confidence / (1 - confidence))


def curves(
    rows_by_name: Mapping[str, Sequence[Row]],
    value: str,
    title: str,
    *,
    level: float | None = None,
    scale: float = 1,
) -> Markup:
    """One line a name of `value` over the steps that recorded it; `level` is drawn as a thin line."""

    def draw(axes: Axes) -> None:
        if level is not None:
            axes.axhline(level, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        for number, rows in enumerate(rows_by_name.values()):
            _line(axes, rows, value, number, scale)

    return svg(draw, title)


def predicted_and_measured(rows: Sequence[Row], predicted: str, measured: str, title: str) -> Markup:
    """Two lines over the steps: what first-order theory says, and what the quantized network did."""

    def draw(axes: Axes) -> None:
        axes.axhline(0, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        _line(axes, rows, measured, 0, 1)
        _line(axes, rows, predicted, 1, 1)

    return svg(draw, title)


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


def strip(
    value: float, interval: Interval, aim: float, limits: tuple[float, float], title: str, kind: str
) -> Markup:
    """One row of an interval chart: a point with its interval, and the aim as an upright line."""
    color = {"original": INK, "unlearned": FORGET, "retrained": TEST}[kind]

    def draw(axes: Axes) -> None:
        axes.axvline(aim, color=MUTED, linewidth=1)
        axes.plot([interval.low, interval.high], [0, 0], color=color, linewidth=2.2, solid_capstyle="round")
        axes.plot([value], [0], color=color, marker="o", markersize=7)
        axes.set_xlim(*limits)
        axes.set_ylim(-1, 1)
        axes.set_yticks([])
        axes.spines["bottom"].set_visible(False)
        axes.grid(visible=False)
        axes.tick_params(axis="x", length=0, pad=0)
        axes.set_xticks([])

    return svg(draw, title, size=(5.2, 0.36))
