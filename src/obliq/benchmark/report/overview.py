"""Ablations: what changes when one thing about a contender is changed."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from obliq.benchmark.report.measures import GAP, TIME, Reading, difference
from obliq.benchmark.report.statistics import REFERENCES, Cell, CellRows, Spread, spread, within_noise
from obliq.benchmark.report.summaries import CellSummary, paired, readings


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One method over all cells.

    Attributes:
        method: its name.
        reference: whether it is a network to compare with instead of a contender.
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
class Overview:
    """The leaderboard.

    Attributes:
        cells: all of them.
        standings: references first; then contenders with a gap in all cells, by their mean; then the others.
        lead: the leader's mean gap over the next one's; None without two contenders that are in all cells.
    """

    cells: Sequence[Cell]
    standings: Sequence[Standing]
    lead: float | None

    @property
    def leaders(self) -> Sequence[Standing]:
        """Contenders that have a gap in every cell, nearest to retraining first."""
        return [
            one for one in self.standings if not one.reference and one.cells == len(self.cells) and one.gap
        ]


def overview(groups: Sequence[CellRows], summaries: Sequence[CellSummary]) -> Overview:
    """The standing of every method; cells weigh the same, whatever their size."""
    names = dict.fromkeys(name for group in groups for name in group.rows)
    ordered = [name for name in REFERENCES if name in names]
    ordered += [name for name in names if name not in REFERENCES]
    standings = [_standing(name, groups, summaries) for name in ordered]
    standings.sort(key=lambda one: (not one.reference, not one.reference and _rank(one, len(groups))))
    board = Overview(cells=[group.cell for group in groups], standings=tuple(standings), lead=None)
    means = [one.gap.mean for one in board.leaders[:2] if one.gap]
    lead = means[0] / means[1] if len(means) == 2 and means[1] > 0 else None
    return Overview(cells=board.cells, standings=board.standings, lead=lead)


def over_cells(groups: Sequence[CellRows], method: str, read: Reading) -> Spread | None:
    """Mean and deviation over seeds, where a seed's value is its mean over the cells that the method is in.

    Seeds that are missing in one of these cells do not count; where that leaves none, the mean over cells of
    the cells' means has no deviation.
    """
    values = [found for group in groups if (found := readings(group, method, read))]
    if not values:
        return None
    shared = sorted(set.intersection(*(set(found) for found in values)))
    if not shared:
        means = [statistics.fmean(found.values()) for found in values]
        return Spread(mean=statistics.fmean(means), deviation=None, count=1)
    return spread(statistics.fmean(found[seed] for found in values) for seed in shared)


def _standing(name: str, groups: Sequence[CellRows], summaries: Sequence[CellSummary]) -> Standing:
    own = [(summary, one) for summary in summaries for one in summary.methods if one.method == name]
    gaps = {summary.cell: one.gap for summary, one in own if one.gap is not None}
    complete = sum(one.gap is not None and one.gap.count == len(summary.seeds) for summary, one in own)
    mean = _mean_over(groups, name)
    return Standing(
        method=name,
        reference=name in REFERENCES,
        gap=over_cells(groups, name, GAP.read),
        cells=complete,
        firsts=sum(one.best for _, one in own),
        as_firsts=sum(one.as_best for _, one in own),
        worst=_worst(gaps),
        retain_difference=mean(difference("retain_accuracy")),
        test_difference=mean(difference("test_accuracy")),
        time_ratio=mean(TIME.read),
    )


def _mean_over(groups: Sequence[CellRows], name: str) -> Callable[[Reading], float | None]:
    def mean(read: Reading) -> float | None:
        found = over_cells(groups, name, read)
        return None if found is None else found.mean

    return mean


def _worst(gaps: Mapping[Cell, Spread]) -> tuple[Cell, float] | None:
    if not gaps:
        return None
    cell = max(gaps, key=lambda one: gaps[one].mean)
    return cell, gaps[cell].mean


def _rank(one: Standing, cells: int) -> tuple[bool, float]:
    return one.cells < cells, float("inf") if one.gap is None else one.gap.mean


@dataclass(frozen=True, kw_only=True)
class Change:
    """One ablation against the contender that it follows.

    Attributes:
        method, follows: the two names.
        change: of Avg. Gap in points, paired by seed and cell, a seed's value being its mean over the cells;
            above 0 the change made things worse.
        cells: how many both have in common.
        noise: whether the change is within the noise of the seeds; never with fewer than two.
    """

    method: str
    follows: str
    change: Spread
    cells: int
    noise: bool


def changes(groups: Sequence[CellRows], follows: Mapping[str, str]) -> tuple[Change, ...]:
    """Every ablation that has a seed in common with the contender that it follows, in the order given."""
    found = (_change(groups, method, followed) for method, followed in follows.items())
    return tuple(one for one in found if one is not None)


def _change(groups: Sequence[CellRows], method: str, followed: str) -> Change | None:
    by_seed: dict[int, list[float]] = {}
    cells = 0
    for group in groups:
        mine, theirs = readings(group, method, GAP.read), readings(group, followed, GAP.read)
        shared = sorted(mine.keys() & theirs.keys())
        cells += bool(shared)
        for seed, value in zip(shared, paired(mine, theirs), strict=True):
            by_seed.setdefault(seed, []).append(value)
    # a seed that is missing in a cell would weigh the cells differently
    values = [sum(own) / len(own) for own in by_seed.values() if len(own) == cells]
    over_seeds = spread(values)
    if over_seeds is None:
        return None
    return Change(method=method, follows=followed, change=over_seeds, cells=cells, noise=within_noise(values))
