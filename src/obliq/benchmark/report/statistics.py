"""What several seeds say together: mean, standard deviation, and what is within their noise."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scipy import stats

from obliq.benchmark.rows import Row
from obliq.errors import ObliqError

ORIGINAL, RETRAINED, AGAIN = "original", "retrained", "retrained again"
REFERENCES = (RETRAINED, AGAIN, ORIGINAL)
"""Networks that no method made: what is aimed at, the noise floor, and where all methods begin."""


@dataclass(frozen=True, order=True)
class Cell:
    """What the rows of one table have in common."""

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
        """Only what tells it apart from others; all of it where there are none."""
        telling = [
            part
            for place, part in enumerate(self.parts)
            if any(other.parts[place] != part for other in others)
        ]
        return " · ".join(telling) or str(self)


@dataclass(frozen=True, kw_only=True)
class CellRows:
    """All rows of a cell.

    Attributes:
        cell: what they have in common.
        seeds: ascending.
        rows: by method, then by seed; failed ones are not among them. Every method that took part is a key.
        failures: the failed rows.
    """

    cell: Cell
    seeds: tuple[int, ...]
    rows: Mapping[str, Mapping[int, Row]]
    failures: Sequence[Row]

    @property
    def contenders(self) -> tuple[str, ...]:
        """Methods without the reference networks, in the order of the rows."""
        return tuple(method for method in self.rows if method not in REFERENCES)

    @property
    def retrained(self) -> Mapping[int, Row]:
        """The retrained networks, by seed."""
        return self.rows.get(RETRAINED, {})


def cells(rows: Sequence[Row]) -> tuple[CellRows, ...]:
    """The rows by cell, cells in order of their names, bit widths in order of their bits.

    Raises:
        ObliqError: when two rows are of the same method and seed in one cell.
    """
    found: dict[Cell, list[Row]] = {}
    for row in rows:
        cell = Cell(data=row.data, architecture=row.architecture, scenario=row.scenario, bits=row.bits)
        found.setdefault(cell, []).append(row)
    return tuple(_gathered(cell, found[cell]) for cell in sorted(found, key=_place))


def precision(bits: str) -> tuple[int, ...]:
    """Sorts bit widths: the bits of weights and activations; `FP32` is 32 of both."""
    return tuple(int(number) for number in re.findall(r"\d{1,6}", bits))


def _place(cell: Cell) -> tuple[object, ...]:
    return cell.data, cell.architecture, cell.scenario, precision(cell.bits), cell.bits


def _gathered(cell: Cell, rows: Sequence[Row]) -> CellRows:
    methods: dict[str, dict[int, Row]] = {}
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


LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Mean and spread of the values at hand.

    Attributes:
        mean: of all values.
        deviation: sample standard deviation (over n - 1); None for a single value.
        count: of values.
    """

    mean: float
    deviation: float | None
    count: int


def spread(values: Iterable[float | None]) -> Spread | None:
    """Over the values that are there; None where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    deviation = statistics.stdev(known) if len(known) > 1 else None
    return Spread(mean=statistics.fmean(known), deviation=deviation, count=len(known))


def within_noise(differences: Sequence[float]) -> bool:
    """Whether paired differences, one a seed, are compatible with no difference at all.

    The paired t-test at 5 %, two-sided: the mean lies within its standard error times the 97.5 % quantile
    of Student's t with n - 1 degrees of freedom. One pair has no standard error, and is never within it.
    """
    count = len(differences)
    if count < 2:
        return False
    error = statistics.stdev(differences) / math.sqrt(count)
    quantile = float(stats.t.ppf((1 + LEVEL) / 2, count - 1))
    return abs(statistics.fmean(differences)) <= quantile * error
