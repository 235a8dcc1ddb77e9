"""Rows in their cells: one cell is one table, within it every method has one row a seed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from obliq.bench.rows import Row
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
