"""Ablations as bars to the left and right of the contender that they follow."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.axes import Axes

from obliq.bench.report.axes import LETTERS, framed
from obliq.bench.report.changes import Change
from obliq.bench.report.labels import named, shortened, token
from obliq.report.drawing import FORGET, INK, MUTED, RULE, TEST, svg


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
    return named(svg(draw, title, (6.6, (34 * len(found) + 50) / 72)), names)


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
