"""Ablations: the change of Avg. Gap when one setting of a method is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from obliq.benchmark.report.measures import GAP
from obliq.benchmark.report.statistics import CellRows, Spread, spread_of, within_noise
from obliq.benchmark.report.summaries import paired_differences, readings


@dataclass(frozen=True, kw_only=True)
class AblationEffect:
    """One ablation against the method that it follows.

    Attributes:
        method, follows: the two names.
        change: of Avg. Gap in points, paired by seed and cell, a seed's value being its mean over the cells;
            above 0 the ablation is farther from retraining.
        cells: how many cells both have in common.
        noise: whether the change is within the noise of the seeds; never with fewer than two.
    """

    method: str
    follows: str
    change: Spread
    cells: int
    noise: bool


def ablation_effects(groups: Sequence[CellRows], follows: Mapping[str, str]) -> tuple[AblationEffect, ...]:
    """Every ablation that has a seed in common with the method that it follows, in the order given."""
    found = (_effect(groups, method, followed) for method, followed in follows.items())
    return tuple(one for one in found if one is not None)


def _effect(groups: Sequence[CellRows], method: str, followed: str) -> AblationEffect | None:
    by_seed: dict[int, list[float]] = {}
    cells = 0
    for group in groups:
        mine, theirs = readings(group, method, GAP.read), readings(group, followed, GAP.read)
        shared = sorted(mine.keys() & theirs.keys())
        cells += bool(shared)
        for seed, value in zip(shared, paired_differences(mine, theirs), strict=True):
            by_seed.setdefault(seed, []).append(value)
    # a seed that is missing in a cell would weigh the cells differently
    values = [sum(own) / len(own) for own in by_seed.values() if len(own) == cells]
    over_seeds = spread_of(values)
    if over_seeds is None:
        return None
    return AblationEffect(
        method=method, follows=followed, change=over_seeds, cells=cells, noise=within_noise(values)
    )
