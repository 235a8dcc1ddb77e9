"""Axes with fixed margins and logarithmic scales, measured in points from the lower left corner of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from obliq.benchmark.report.label_placement import Box
from obliq.report.drawing import MUTED, RULE

FLOOR = 0.05
"""Smaller values are drawn here: a logarithmic scale has no zero, and differences below mean nothing."""
LETTERS = 8.0  # points
TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def set_margins(axes: Axes, left: float, right: float, bottom: float, top: float) -> Box:
    """Put the axes at fixed margins (points), so that places are known before anything is drawn."""
    wide, high = picture_size(axes)
    cast(Figure, axes.figure).set_layout_engine("none")
    axes.set_position(
        (left / wide, bottom / high, (wide - left - right) / wide, (high - bottom - top) / high)
    )
    return Box(left, bottom, wide - right, high - top)


def picture_size(axes: Axes) -> tuple[float, float]:
    """Width and height of the whole picture, in points."""
    wide, high = cast(Figure, axes.figure).get_size_inches()
    return 72 * float(wide), 72 * float(high)


def set_log_axis(axes: Axes, direction: Literal["x", "y"], values: Sequence[float], label: str) -> None:
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
