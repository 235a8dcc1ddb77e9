"""Rows of several seeds as one number: cells, mean and standard deviation, and a test against noise."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from obliq.benchmark.rows import ResultRow
from obliq.benchmark.suite import ORIGINAL, RETRAINED, RETRAINED_AGAIN
from obliq.errors import ObliqError

REFERENCE_ROWS = (RETRAINED, RETRAINED_AGAIN, ORIGINAL)
"""Networks that no method produced: the aim, the noise floor, and the starting point of every method."""


@dataclass(frozen=True, order=True)
class Cell:
    """What the rows of one table have in common: one request to one kind of network."""

    data: str
    architecture: str
    scenario: str
    bits: str

    def __str__(self) -> str:
        return " · ".join(self.parts)

    @property
    def parts(self) -> tuple[str, str, str, str]:
        """In the order in which people read them."""
        return self.scenario, self.bits, self.data, self.architecture

    def among(self, others: Sequence[Cell]) -> str:
        """Only the parts in which it differs from others; all of them where there are none."""
        own = [
            part
            for place, part in enumerate(self.parts)
            if any(other.parts[place] != part for other in others)
        ]
        return " · ".join(own) or str(self)


@dataclass(frozen=True, kw_only=True)
class CellRows:
    """All rows of a cell.

    Attributes:
        cell: what they have in common.
        seeds: ascending.
        rows: by method, then by seed, without failed ones. Every method that took part is a key.
        failures: the failed rows.
    """

    cell: Cell
    seeds: tuple[int, ...]
    rows: Mapping[str, Mapping[int, ResultRow]]
    failures: Sequence[ResultRow]

    @property
    def methods(self) -> tuple[str, ...]:
        """All names but `REFERENCE_ROWS`, in the order of the rows."""
        return tuple(method for method in self.rows if method not in REFERENCE_ROWS)

    @property
    def retrained(self) -> Mapping[int, ResultRow]:
        """The retrained networks, by seed."""
        return self.rows.get(RETRAINED, {})


def group_by_cell(rows: Sequence[ResultRow]) -> tuple[CellRows, ...]:
    """The rows by cell, in order of the cells' names, and of the number of bits rather than its text.

    Raises:
        ObliqError: when two rows are of the same method and seed in one cell.
    """
    found: dict[Cell, list[ResultRow]] = {}
    for row in rows:
        cell = Cell(data=row.data, architecture=row.architecture, scenario=row.scenario, bits=row.bits)
        found.setdefault(cell, []).append(row)
    return tuple(_by_method(cell, found[cell]) for cell in sorted(found, key=_order))


def number_of_bits(bits: str) -> tuple[int, ...]:
    """Sorts bit widths: the bits of weights and activations; `FP32` is 32 of both."""
    return tuple(int(number) for number in re.findall(r"\d{1,6}", bits))


def _order(cell: Cell) -> tuple[object, ...]:
    return cell.data, cell.architecture, cell.scenario, number_of_bits(cell.bits), cell.bits


def _by_method(cell: Cell, rows: Sequence[ResultRow]) -> CellRows:
    methods: dict[str, dict[int, ResultRow]] = {}
    seen: set[tuple[str, int]] = set()
    for row in rows:
        if (row.method, row.seed) in seen:
            raise ObliqError(f"{cell}: two rows of {row.method!r} for seed {row.seed}; expected one")
        seen.add((row.method, row.seed))
        own = methods.setdefault(row.method, {})
        if row.kind != "failed":
            own[row.seed] = row
    return CellRows(
        cell=cell,
        seeds=tuple(sorted({row.seed for row in rows})),
        rows=methods,
        failures=tuple(row for row in rows if row.kind == "failed"),
    )


CONFIDENCE = 0.95
"""Confidence of the two-sided tests."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Mean and spread of some values.

    Attributes:
        mean: of all values.
        deviation: sample standard deviation (over n - 1); None for a single value.
        count: number of values.
    """

    mean: float
    deviation: float | None
    count: int


def spread_of(values: Iterable[float | None]) -> Spread | None:
    """The spread of the values that are not None; None where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    deviation = statistics.stdev(known) if len(known) > 1 else None
    return Spread(mean=statistics.fmean(known), deviation=deviation, count=len(known))


def within_noise(differences: Sequence[float]) -> bool:
    """Whether paired differences, one a seed, are compatible with no difference at all.

    The paired t-test at 5 %, two-sided: with n differences of mean m and sample standard deviation s, the test
    statistic is t = m / (s / sqrt(n)). No difference is rejected where |t| exceeds the 97.5 % quantile of Student's t
    with n - 1 degrees of freedom. Seeds are paired because the seed alone (its original, its request) moves all
    methods of a cell up or down together. One pair has no standard error, and is never within it.
    """
    from scipy import stats  # imported here: it costs as much time as all other imports of this file

    count = len(differences)
    if count < 2:
        return False
    error = statistics.stdev(differences) / math.sqrt(count)
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1))
    # written as a product, since equal differences have no standard error to divide by
    return abs(statistics.fmean(differences)) <= quantile * error
