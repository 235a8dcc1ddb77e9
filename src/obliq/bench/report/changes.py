"""Ablations: what changes when one thing about a contender is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from obliq.bench.report.cells import CellRows
from obliq.bench.report.measures import GAP
from obliq.bench.report.spread import Spread, spread, within_noise
from obliq.bench.report.summaries import paired, readings


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
