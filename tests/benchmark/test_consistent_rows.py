"""A report is made of rows that the cells' files confirm, and of no others."""

import json
from pathlib import Path

import pytest

from obliq.benchmark.collect import ROWS
from obliq.benchmark.report import render
from obliq.benchmark.report.render import rewrite_report
from obliq.benchmark.result_files import CELL_DOCUMENT
from obliq.benchmark.rows import ResultRow, to_csv
from obliq.benchmark.run import BenchmarkResult
from obliq.benchmark.suite import Suite
from obliq.errors import ObliqError
from tests.benchmark.synthetic_rows import change_row
from tests.benchmark.toys import FIXED, suite


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes most of the time of a report."""
    monkeypatch.setattr(render, "_both", lambda *_: ())


@pytest.fixture(params=[True, False], ids=["known suite", "unknown suite"])
def known(request: pytest.FixtureRequest, data: str) -> Suite | None:
    return suite(data, FIXED) if request.param else None


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def cell(finished: BenchmarkResult) -> Path:
    (file,) = finished.folder.glob("npz*.json")
    return file


def with_gap(rows: list[ResultRow]) -> list[ResultRow]:
    return [*rows[:3], change_row(rows[3], average_gap=0.0001)]


EDITS = {
    "gap": (with_gap, r"average_gap of 'fixed' with seed 1 is '0\.0001', not '\d"),
    "fields": (lambda rows: [*rows[:3], change_row(rows[3], fields="{}")], "fields of 'fixed' with seed 1"),
    "removed": (lambda rows: rows[:3], "'fixed' with seed 1 has 0 rows, not 1"),
    "added": (lambda rows: [*rows, change_row(rows[3], seed=7)], "'fixed' with seed 7 has 1 rows, not 0"),
    "twice": (lambda rows: [*rows, rows[3]], "'fixed' with seed 1 has 2 rows, not 1"),
    "nothing left": (lambda rows: [], "'original' with seed 1 has 0 rows, not 1"),
    "another cell": (
        lambda rows: [change_row(one, scenario="class=0") for one in rows],
        "'original' with seed 1 has 0 rows, not 1",
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_rows_that_are_not_those_of_their_cell_are_refused(
    edit: str, known: Suite | None, fixed: BenchmarkResult
) -> None:
    change, words = EDITS[edit]
    (fixed.folder / ROWS).write_text(to_csv(change(fixed.rows)))
    before = files(fixed.folder)
    with pytest.raises(ObliqError, match=words) as refused:
        rewrite_report(fixed.folder, known)
    assert "--resume` writes rows.csv again" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert files(fixed.folder) == before


def test_rows_as_they_were_written_give_the_same_report(known: Suite | None, fixed: BenchmarkResult) -> None:
    rewrite_report(fixed.folder, known)
    before = files(fixed.folder)
    (fixed.folder / ROWS).write_text(to_csv(reversed(fixed.rows)))
    (fixed.folder / "notes.json").write_text("[]")
    assert rewrite_report(fixed.folder, known) == len(fixed.rows)
    after = files(fixed.folder)
    assert {name: after[name] for name in before.keys() - {ROWS}} == {
        name: content for name, content in before.items() if name != ROWS
    }


@pytest.mark.parametrize("there", ["none", "older"])
def test_rows_whose_cell_has_no_current_file_are_reported(
    there: str, known: Suite | None, fixed: BenchmarkResult
) -> None:
    file = cell(fixed)
    if there == "none":
        file.unlink()
    else:
        file.write_text(json.dumps(json.loads(file.read_text()) | {"version": CELL_DOCUMENT.version - 1}))
    assert rewrite_report(fixed.folder, known) == len(fixed.rows)


def test_a_cell_that_was_edited_with_its_rows_is_refused(known: Suite | None, fixed: BenchmarkResult) -> None:
    (fixed.folder / ROWS).write_text(to_csv(with_gap(fixed.rows)))
    values = json.loads(cell(fixed).read_text())
    values["rows"][3]["average_gap"] = 0.0001
    cell(fixed).write_text(json.dumps(values))
    with pytest.raises(ObliqError, match="does not have the digest that it states"):
        rewrite_report(fixed.folder, known)
