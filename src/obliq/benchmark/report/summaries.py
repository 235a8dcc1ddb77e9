"""A cell in numbers: every method over its seeds, the method nearest to retraining, and those as near."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from obliq.benchmark.report.measures import AUC_DIFFERENCE, GAP, Measure, Reading, measure_groups
from obliq.benchmark.report.statistics import (
    REFERENCE_ROWS,
    Cell,
    CellRows,
    Spread,
    spread_of,
    within_noise,
)
from obliq.benchmark.rows import ResultRow
from obliq.benchmark.suite import RETRAINED, RETRAINED_AGAIN


@dataclass(frozen=True, kw_only=True)
class MethodSummary:
    """One method in one cell.

    Attributes:
        method: its name.
        reference: whether it is one of `REFERENCE_ROWS`, which no method produced.
        spreads: over seeds, by a measure's key; None where nothing was measured.
        seeds: how many seeds it has a row for.
        best: whether its mean Avg. Gap is the cell's smallest.
        as_best: whether its Avg. Gap is within noise of the best's; never for the best itself.
        at_floor: whether its Avg. Gap is no larger than the noise floor's, or within noise of it.
        side: `over` or `under` where its AUC differs from the retrained network's by more than noise, else empty.
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
    """One cell.

    Attributes:
        cell: what its rows have in common.
        seeds: ascending.
        train, forget: sample counts by seed, as the originals have them; without unknown ones.
        groups: the columns of each table by its heading.
        methods: `REFERENCE_ROWS` first, then methods by their mean Avg. Gap; those without one come last.
        failures: the failed rows.
    """

    cell: Cell
    seeds: tuple[int, ...]
    train: Sequence[int]
    forget: Sequence[int]
    groups: Mapping[str, Sequence[Measure]]
    methods: Sequence[MethodSummary]
    failures: Sequence[ResultRow]

    @property
    def best(self) -> MethodSummary | None:
        """The method with the smallest mean Avg. Gap, if any has one for all seeds."""
        return next((method for method in self.methods if method.best), None)


def summarise(rows: CellRows) -> CellSummary:
    """All methods of a cell.

    The best is chosen among methods that have a gap for every seed of the cell: a method that failed on
    a hard seed has an easier mean. Equal means go to the first.
    """
    groups = measure_groups()
    gaps = {method: readings(rows, method, GAP.read) for method in rows.rows}
    best = _smallest({method: gaps[method] for method in rows.methods}, rows.seeds)
    names = [name for name in REFERENCE_ROWS if name in rows.rows] + sorted(
        rows.methods, key=lambda name: _mean_or_last(gaps[name])
    )
    samples = list((rows.retrained or next(iter(rows.rows.values()), {})).values())
    measures = [measure for group in groups.values() for measure in group]
    return CellSummary(
        cell=rows.cell,
        seeds=rows.seeds,
        train=tuple(row.train for row in samples if row.train is not None),
        forget=tuple(row.forget for row in samples if row.forget is not None),
        groups=groups,
        methods=tuple(_method(rows, name, measures, gaps, best) for name in names),
        failures=rows.failures,
    )


def readings(rows: CellRows, method: str, read: Reading) -> dict[int, float]:
    """A method's numbers by seed, where there is one."""
    found = {
        seed: read(row, rows.retrained.get(seed)) for seed, row in sorted(rows.rows.get(method, {}).items())
    }
    return {seed: value for seed, value in found.items() if value is not None}


def paired_differences(first: Mapping[int, float], second: Mapping[int, float]) -> list[float]:
    """First minus second for every seed that both have."""
    return [first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())]


def _method(
    rows: CellRows,
    name: str,
    measures: Sequence[Measure],
    gaps: Mapping[str, Mapping[int, float]],
    best: str | None,
) -> MethodSummary:
    reference = name in REFERENCE_ROWS
    own, floor = gaps[name], gaps.get(RETRAINED_AGAIN, {})
    to_best = paired_differences(own, gaps[best]) if best is not None else []
    to_floor = paired_differences(own, floor)
    # one-sided on purpose: a gap below the floor is as good as the floor, however far below
    near_floor = len(to_floor) > 1 and (sum(to_floor) <= 0 or within_noise(to_floor))
    return MethodSummary(
        method=name,
        reference=reference,
        spreads={one.key: spread_of(readings(rows, name, one.read).values()) for one in measures},
        seeds=len(rows.rows[name]),
        best=name == best,
        as_best=not reference and name != best and within_noise(to_best),
        at_floor=not reference and near_floor,
        side="" if name == RETRAINED else _side(rows, name),
    )


def _side(rows: CellRows, name: str) -> str:
    """Under-forgot or over-forgot, where the paired differences of AUC to the retrained network leave no doubt."""
    differences = list(readings(rows, name, AUC_DIFFERENCE.read).values())
    if len(differences) < 2 or within_noise(differences):
        return ""
    return "under" if sum(differences) > 0 else "over"


def _smallest(gaps: Mapping[str, Mapping[int, float]], seeds: Sequence[int]) -> str | None:
    complete = [name for name, own in gaps.items() if len(own) == len(seeds)]
    return min(complete, key=lambda name: _mean_or_last(gaps[name]), default=None)


def _mean_or_last(gaps: Mapping[int, float]) -> float:
    found = spread_of(gaps.values())
    return float("inf") if found is None else found.mean
