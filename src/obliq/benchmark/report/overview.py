"""The leaderboard: every method over all cells."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from obliq.benchmark.report.measures import GAP, TIME, Reading, difference
from obliq.benchmark.report.statistics import REFERENCE_ROWS, Cell, CellRows, Spread, spread_of
from obliq.benchmark.report.summaries import CellSummary, readings


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One method over all cells.

    Attributes:
        method: its name.
        reference: whether it is one of `REFERENCE_ROWS`, which no method produced.
        gap: Avg. Gap; a seed's value is its mean over the cells. None where it was measured nowhere.
        cells: in how many cells it has a gap for every seed.
        firsts: in how many cells it is best.
        as_firsts: in how many further cells it is within noise of the best.
        worst: the cell of its largest mean gap, and that gap.
        retain_difference, test_difference: RA and TA minus Retrain's, mean over cells.
        time_ratio: mean over cells.
    """

    method: str
    reference: bool
    gap: Spread | None
    cells: int
    firsts: int
    as_firsts: int
    worst: tuple[Cell, float] | None
    retain_difference: float | None
    test_difference: float | None
    time_ratio: float | None


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """The standings of a suite.

    Attributes:
        cells: all of them.
        standings: `REFERENCE_ROWS` first; then methods with a gap in all cells, by their mean; then the others.
    """

    cells: Sequence[Cell]
    standings: Sequence[Standing]

    @property
    def leaders(self) -> Sequence[Standing]:
        """Methods that have a gap in every cell, nearest to retraining first."""
        return [
            one for one in self.standings if not one.reference and one.cells == len(self.cells) and one.gap
        ]

    @property
    def lead(self) -> float | None:
        """The leader's mean gap over the next one's; None without two methods that are in all cells."""
        means = [one.gap.mean for one in self.leaders[:2] if one.gap]
        return means[0] / means[1] if len(means) == 2 and means[1] > 0 else None


def rank_methods(groups: Sequence[CellRows], summaries: Sequence[CellSummary]) -> Leaderboard:
    """The standing of every method; cells weigh the same, whatever their size."""
    names = dict.fromkeys(name for group in groups for name in group.rows)
    ordered = [name for name in REFERENCE_ROWS if name in names]
    ordered += [name for name in names if name not in REFERENCE_ROWS]
    standings = [_standing(name, groups, summaries) for name in ordered]
    standings.sort(key=lambda one: (not one.reference, not one.reference and _rank(one, len(groups))))
    return Leaderboard(cells=[group.cell for group in groups], standings=tuple(standings))


def over_cells(groups: Sequence[CellRows], method: str, read: Reading) -> Spread | None:
    """Mean and deviation over seeds, where a seed's value is its mean over the cells that the method is in.

    The deviation is between seeds of a whole suite, not between cells: cells differ by design, seeds by chance.
    Only seeds that are in all of these cells count, as a seed with fewer cells would be a mean over other
    requests. Where that leaves no seed, the mean over cells of the cells' means has no deviation.
    """
    values = [found for group in groups if (found := readings(group, method, read))]
    if not values:
        return None
    shared = sorted(set.intersection(*(set(found) for found in values)))
    if not shared:
        means = [statistics.fmean(found.values()) for found in values]
        return Spread(mean=statistics.fmean(means), deviation=None, count=1)
    return spread_of(statistics.fmean(found[seed] for found in values) for seed in shared)


def _standing(name: str, groups: Sequence[CellRows], summaries: Sequence[CellSummary]) -> Standing:
    own = [(summary, one) for summary in summaries for one in summary.methods if one.method == name]
    gaps = {summary.cell: one.gap for summary, one in own if one.gap is not None}
    complete = sum(one.gap is not None and one.gap.count == len(summary.seeds) for summary, one in own)

    def mean(read: Reading) -> float | None:
        found = over_cells(groups, name, read)
        return None if found is None else found.mean

    return Standing(
        method=name,
        reference=name in REFERENCE_ROWS,
        gap=over_cells(groups, name, GAP.read),
        cells=complete,
        firsts=sum(one.best for _, one in own),
        as_firsts=sum(one.as_best for _, one in own),
        worst=_worst(gaps),
        retain_difference=mean(difference("retain_accuracy")),
        test_difference=mean(difference("test_accuracy")),
        time_ratio=mean(TIME.read),
    )


def _worst(gaps: Mapping[Cell, Spread]) -> tuple[Cell, float] | None:
    if not gaps:
        return None
    cell = max(gaps, key=lambda one: gaps[one].mean)
    return cell, gaps[cell].mean


def _rank(one: Standing, cells: int) -> tuple[bool, float]:
    return one.cells < cells, float("inf") if one.gap is None else one.gap.mean
