"""Charts as SVG that takes its colours from the page, so that one drawing serves light, dark and print.

Forgotten samples are drawn filled, unseen ones solid, retained ones dotted: readable without colour.
"""

from __future__ import annotations

import io
import math
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from obliq.auditing import Histogram, Interval
from obliq.auditing.reference_comparison import Comparison
from obliq.io.visible_text import visible_line
from obliq.report.content import Row

# Placeholders: matplotlib draws with these colours, which `_inlined` then replaces by the page's variables.
INK, MUTED, RULE = "#010101", "#020202", "#030303"
FORGET, TEST, RETAIN, BAND = "#040404", "#050505", "#060606", "#070707"
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    FORGET: "--forget",
    TEST: "--unseen",
    RETAIN: "--retain",
    BAND: "--range",
}
WIDE, HIGH = 3.5, 2.1  # inches; the page scales the drawing


def draw_svg(
    draw: Callable[[Axes], None],
    title: str,
    size: tuple[float, float] = (WIDE, HIGH),
    *,
    margins: bool = True,
) -> Markup:
    """Draw on a fresh figure, without pyplot's global state, and clean the SVG for use inside a page.

    Args:
        draw: draws on the axes.
        title: the chart in words, for readers who do not see it.
        size: in inches.
        margins: whether to leave space for labels; without, the axes fill the drawing.
    """
    figure = Figure(figsize=size, layout="constrained" if margins else None)
    figure.patch.set_visible(False)
    axes = figure.add_subplot() if margins else figure.add_axes((0, 0, 1, 1))
    axes.patch.set_visible(False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelcolor=MUTED, labelsize=9, length=3)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color=RULE, linewidth=0.7)
    axes.set_axisbelow(True)
    draw(axes)
    written = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "obliq"}):
        figure.savefig(
            written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    return _inlined(written.getvalue(), title)


def _inlined(document: str, title: str) -> Markup:
    """The bare svg element: named, scalable, coloured by the page, with ids that no other drawing has."""
    title = visible_line(title)
    body = document[document.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<g id=\"[^\"]*\"", "<g", body)
    prefix = f"c{zlib.crc32((title + body).encode()):08x}-"
    body = re.sub(r'\bid="', f'id="{prefix}', body)
    body = body.replace('href="#', f'href="#{prefix}').replace("url(#", f"url(#{prefix}")
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, flags=re.DOTALL)
    body = re.sub(r"font-family: [^;\"]*; |(?<=font-size: )([\d.]+px) [^;\"]*", r"\1", body)
    body = re.sub(r"\s*\n\s*", "\n", body).replace("xlink:href", "href")
    for color, variable in VARIABLES.items():
        body = body.replace(color, f"var({variable})")
    view = re.search(r'viewBox="[^"]*"', body)
    # safe as markup: matplotlib wrote the inside, without any text from outside, and format() escapes the title
    inside = Markup(body[body.index(">") + 1 :].strip())
    opening = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{title}" {view}>'
        "<title>{title}</title>"
    )
    return opening.format(title=title, view=Markup(view.group() if view else "")) + inside


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
