"""A cell in numbers: every method over its seeds, which is nearest to retraining, and which are as near."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from obliq.benchmark.report.measures import GAP, MEASURES, SIGNED_AUC, Measure, Reading
from obliq.benchmark.report.statistics import (
    AGAIN,
    REFERENCES,
    RETRAINED,
    Cell,
    CellRows,
    Spread,
    spread,
    within_noise,
)
from obliq.benchmark.rows import Row


@dataclass(frozen=True, kw_only=True)
class MethodSummary:
    """One method in one cell.

    Attributes:
        method: its name.
        reference: whether it is a network to compare with instead of a contender.
        spreads: over seeds, by a measure's key; None where nothing was measured.
        seeds: how many seeds it has a row for.
        best: whether its mean Avg. Gap is the cell's smallest.
        as_best: whether its Avg. Gap is within noise of the best's; never for the best itself.
        at_floor: whether its Avg. Gap is no larger than the noise floor's, or within noise of it.
        side: `over` or `under` where its AUC is off the retrained network's by more than noise, else empty.
    """

    method: str
    reference: bool
    spreads: Mapping[str, Spread | None]
    seeds: int
    best: bool = False
    as_best: bool = False
    at_floor: bool = False
    side: str = ""

    @property
    def gap(self) -> Spread | None:
        """Avg. Gap over seeds."""
        return self.spreads[GAP.key]


@dataclass(frozen=True, kw_only=True)
class CellSummary:
    """One table.

    Attributes:
        cell: what its rows have in common.
        seeds: ascending.
        train, forget: sample counts by seed, as the originals have them; without unknown ones.
        methods: references first, then contenders by their mean Avg. Gap; those without one come last.
        failures: rows of what went wrong.
    """

    cell: Cell
    seeds: tuple[int, ...]
    train: Sequence[int]
    forget: Sequence[int]
    methods: Sequence[MethodSummary]
    failures: Sequence[Row]

    @property
    def best(self) -> MethodSummary | None:
        """The contender with the smallest mean Avg. Gap, if any has one for all seeds."""
        return next((method for method in self.methods if method.best), None)


def summarise(rows: CellRows) -> CellSummary:
    """All methods of a cell.

    The best is chosen among contenders that have a gap for every seed of the cell: a method that failed on
    a hard seed has an easier mean. Equal means go to the first.
    """
    gaps = {method: readings(rows, method, GAP.read) for method in rows.rows}
    best = _smallest({method: gaps[method] for method in rows.contenders}, rows.seeds)
    names = [name for name in REFERENCES if name in rows.rows] + sorted(
        rows.contenders, key=lambda name: _mean_or_last(gaps[name])
    )
    samples = list((rows.retrained or next(iter(rows.rows.values()), {})).values())
    return CellSummary(
        cell=rows.cell,
        seeds=rows.seeds,
        train=tuple(row.train for row in samples if row.train is not None),
        forget=tuple(row.forget for row in samples if row.forget is not None),
        methods=tuple(_method(rows, name, gaps, best) for name in names),
        failures=rows.failures,
    )


def readings(rows: CellRows, method: str, read: Reading) -> dict[int, float]:
    """A method's numbers by seed, where there is one."""
    found = {
        seed: read(row, rows.retrained.get(seed)) for seed, row in sorted(rows.rows.get(method, {}).items())
    }
    return {seed: value for seed, value in found.items() if value is not None}


def paired(first: Mapping[int, float], second: Mapping[int, float]) -> list[float]:
    """First minus second for every seed that both have."""
    return [first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())]


def _method(
    rows: CellRows, name: str, gaps: Mapping[str, Mapping[int, float]], best: str | None
) -> MethodSummary:
    reference = name in REFERENCES
    own, floor = gaps[name], gaps.get(AGAIN, {})
    to_best = paired(own, gaps[best]) if best is not None else []
    to_floor = paired(own, floor)
    near_floor = len(to_floor) > 1 and (sum(to_floor) <= 0 or within_noise(to_floor))
    return MethodSummary(
        method=name,
        reference=reference,
        spreads={measure.key: _spread(rows, name, measure) for measure in MEASURES},
        seeds=len(rows.rows[name]),
        best=name == best,
        as_best=not reference and name != best and within_noise(to_best),
        at_floor=not reference and near_floor,
        side="" if name == RETRAINED else _side(rows, name),
    )


def _spread(rows: CellRows, name: str, measure: Measure) -> Spread | None:
    return spread(readings(rows, name, measure.read).values())


def _side(rows: CellRows, name: str) -> str:
    offsets = list(readings(rows, name, SIGNED_AUC.read).values())
    if len(offsets) < 2 or within_noise(offsets):
        return ""
    return "under" if sum(offsets) > 0 else "over"


def _smallest(gaps: Mapping[str, Mapping[int, float]], seeds: Sequence[int]) -> str | None:
    complete = [name for name, own in gaps.items() if len(own) == len(seeds)]
    return min(complete, key=lambda name: _mean_or_last(gaps[name]), default=None)


def _mean_or_last(gaps: Mapping[int, float]) -> float:
    found = spread(gaps.values())
    return float("inf") if found is None else found.mean
