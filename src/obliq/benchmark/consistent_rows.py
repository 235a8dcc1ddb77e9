"""The rows of a suite that was run, from `rows.csv`, where they are those of the cells' files.

`rows.csv` can be edited unnoticed. The files of the cells have a digest, so a report is made only where both agree.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from obliq.benchmark.collect import ROWS, read_rows
from obliq.benchmark.result_files import CELL_DOCUMENT, read_cell
from obliq.benchmark.rows import ResultRow
from obliq.benchmark.suite import Suite, cell_file_name
from obliq.errors import ObliqError
from obliq.io.document_text import LARGEST_DOCUMENT
from obliq.io.regular_file import read_regular_file

Place = tuple[int, str]
"""Seed and method, which are those of one row in a cell."""


def read_consistent_rows(folder: Path, suite: Suite | None) -> list[ResultRow]:
    """The rows in a folder of results.

    A cell without a file, or with one of an older version, cannot be compared.

    Args:
        folder: of the results.
        suite: whose results they are; None where it is not at hand, and every file of a cell in the folder counts.

    Raises:
        ObliqError: when a file is missing or not as it was written, or a row differs from that of its cell.
    """
    rows = read_rows(folder)
    by_cell: dict[str, list[ResultRow]] = {}
    for row in rows:
        by_cell.setdefault(cell_file_name((row.data, row.architecture, row.bits, row.scenario)), []).append(
            row
        )
    for name in dict.fromkeys((*by_cell, *_other_cells(folder, suite))):
        recorded = [one.row for one in read_cell(folder / name)]
        if name not in by_cell:  # rows that failed are left out while they are computed again
            recorded = [one for one in recorded if one.kind != "failed"]
        if recorded and (difference := _difference(by_cell.get(name, []), recorded)):
            raise ObliqError(
                f"{folder / ROWS} is not what {name} has: {difference}; expected the same rows in both (`obliq bench "
                f"SUITE --resume` writes {ROWS} again)"
            )
    return rows


def _other_cells(folder: Path, suite: Suite | None) -> Iterator[str]:
    """The names of files of cells of which `rows.csv` may have no row."""
    if suite is not None:
        yield from map(cell_file_name, suite.cells)
        return
    for file in sorted(folder.glob("*.json")):
        if f'"{CELL_DOCUMENT.format}"'.encode() in read_regular_file(file, LARGEST_DOCUMENT):
            yield file.name


def _difference(given: Sequence[ResultRow], recorded: Sequence[ResultRow]) -> str:
    """The first difference in words; empty where there is none."""
    ours, theirs = _by_place(given), _by_place(recorded)
    for seed, method in dict.fromkeys((*theirs, *ours)):
        row = f"{method!r} with seed {seed}"
        here, there = ours.get((seed, method), []), theirs.get((seed, method), [])
        if len(here) != len(there):
            return f"{row} has {len(here)} rows, not {len(there)}"
        for one, other in zip(here, there, strict=True):
            for name, value in one.columns().items():
                if value != (expected := other.columns()[name]):
                    return f"{name} of {row} is {str(value)[:80]!r}, not {str(expected)[:80]!r}"
    return ""


def _by_place(rows: Sequence[ResultRow]) -> Mapping[Place, list[ResultRow]]:
    found: dict[Place, list[ResultRow]] = {}
    for row in rows:
        found.setdefault((row.seed, row.method), []).append(row)
    return found
