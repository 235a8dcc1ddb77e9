"""The pictures of a report, and the words around them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from obliq.benchmark.report.ablations import AblationEffect
from obliq.benchmark.report.charts import ChartPoint, ablation_chart, bit_width_chart, scatter_chart
from obliq.benchmark.report.measures import FORGET_SIDE, GAP, RETAIN_SIDE, TIME, Reading
from obliq.benchmark.report.overview import over_cells
from obliq.benchmark.report.statistics import (
    REFERENCE_ROWS,
    CellRows,
    number_of_bits,
    spread_of,
)
from obliq.benchmark.report.summaries import readings
from obliq.benchmark.report.tables import DISPLAY_NAMES
from obliq.benchmark.suite import RETRAINED, RETRAINED_AGAIN
from obliq.report.figures import Figure

COLORED, LINES = 4, 8
"""Methods in colour, and methods at all, in a picture over bit widths; more lines cannot be told apart."""

FEWEST_WIDTHS = 3
"""Two bit widths make no curve; the tables have them side by side."""


def trade_off(groups: Sequence[CellRows], ranked: Sequence[str], where: str) -> Figure | None:
    """Distance to Retrain on the forget side against the retain side, over one or several cells."""
    points = _points(groups, ranked, RETAIN_SIDE, FORGET_SIDE)
    if not points:
        return None
    axes = (
        "distance to Retrain on retained and unseen samples: mean of |ΔRA|, |ΔTA|, points",
        "on forgotten samples: mean of |ΔUA|, |ΔMIA|, points",
    )
    drawing, left_out = scatter_chart(points, axes, f"Distance to Retrain on both sides, {where}")
    note = f"nearer to the lower left corner is nearer to retraining; {_reading_note(groups)}"
    return Figure("What forgetting costs in accuracy", drawing, _with_left_out(note, left_out))


def cost(groups: Sequence[CellRows], ranked: Sequence[str], where: str) -> Figure | None:
    """Time ratio against Avg. Gap, over one or several cells."""
    points = _points(groups, ranked, TIME.read, GAP.read)
    if not points:
        return None
    floor = over_cells(groups, RETRAINED_AGAIN, GAP.read)
    drawing, left_out = scatter_chart(
        points,
        ("time over Retrain's time", "Avg. Gap, points"),
        f"Time and Avg. Gap, {where}",
        upright=1.0,
        level=floor.mean if floor else None,
    )
    note = f"dashed: Retrain's time{' and the noise floor' if floor else ''}; {_reading_note(groups)}"
    return Figure("What forgetting costs in time", drawing, _with_left_out(note, left_out))


def _points(
    groups: Sequence[CellRows], ranked: Sequence[str], across: Reading, up: Reading
) -> Sequence[ChartPoint]:
    """The methods in their order, then the networks to compare with. Retrain itself is the aim, not a point."""
    present = {name for group in groups for name in group.rows}
    methods = [name for name in ranked if name in present]
    found = []
    for name in (*methods, *(one for one in REFERENCE_ROWS if one in present and one != RETRAINED)):
        x, y = over_cells(groups, name, across), over_cells(groups, name, up)
        if x is not None and y is not None:
            reference = name in REFERENCE_ROWS
            shown = DISPLAY_NAMES[name] if reference else name
            best = name == ranked[0] if ranked else False
            found.append(ChartPoint(name=shown, x=x, y=y, reference=reference, best=best))
    return found


def _reading_note(groups: Sequence[CellRows]) -> str:
    several = any(len(group.seeds) > 1 for group in groups)
    return "both scales logarithmic, below 0.05 drawn at 0.05" + (
        "; bars: one standard deviation over seeds" if several else ""
    )


def _with_left_out(note: str, left_out: Sequence[str]) -> str:
    return f"{note}; no room for the names of {', '.join(left_out)}" if left_out else note


def over_bits(groups: Sequence[CellRows], ranked: Sequence[str]) -> Sequence[Figure]:
    """Avg. Gap over bit widths, one picture for each kind of cell that was run at three or more."""
    found = []
    for (data, architecture, scenario), several in groupby(
        groups, key=lambda one: (one.cell.data, one.cell.architecture, one.cell.scenario)
    ):
        same = list(several)
        gaps = {name: own for name in (*ranked[:LINES], RETRAINED_AGAIN) if (own := _by_bits(same, name))}
        bits = sorted(
            {one for own in gaps.values() for one in own}, key=lambda one: (number_of_bits(one), one)
        )
        if len(bits) < FEWEST_WIDTHS:
            continue
        where = f"{scenario} · {data} · {architecture}"
        drawing = bit_width_chart(
            {DISPLAY_NAMES.get(name, name): own for name, own in gaps.items()},
            bits,
            ranked[:COLORED],
            f"Avg. Gap over bit widths, {where}",
        )
        found.append(
            Figure(
                where,
                drawing,
                f"Avg. Gap, mean over seeds, logarithmic; the first {LINES} methods, in colour {COLORED}",
            )
        )
    return found


def _by_bits(groups: Sequence[CellRows], name: str) -> dict[str, float]:
    means = {group.cell.bits: spread_of(readings(group, name, GAP.read).values()) for group in groups}
    return {bits: mean.mean for bits, mean in means.items() if mean is not None}


def ablation_bars(effects: Sequence[AblationEffect]) -> Sequence[Figure]:
    """One picture for each method that ablations follow."""
    pictures = []
    for followed in dict.fromkeys(one.follows for one in effects):
        own = [one for one in effects if one.follows == followed]
        note = "bars: mean change, lines: one standard deviation over seeds, pale: within noise"
        heading = f"{followed}: what each change does to Avg. Gap"
        pictures.append(Figure(heading, ablation_chart(own, heading), note))
    return pictures
