"""Recorded rows are reused from their files, but only where the same tasks would compute them now."""

import dataclasses
import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from obliq.benchmark import result_files, run
from obliq.benchmark.cache import digest_of
from obliq.benchmark.method_variant import MethodVariant
from obliq.benchmark.result_files import CELL_DOCUMENT
from obliq.benchmark.run import BenchmarkResult, run_suite
from obliq.benchmark.suite import Suite
from obliq.benchmark.variants import with_default_fields
from obliq.errors import ObliqError
from obliq.methods import FineTune
from tests.benchmark.conftest import Counted
from tests.benchmark.toys import FIXED, Failing, but_for_times, options, suite

OTHER = with_default_fields(
    MethodVariant(name="other", method_class=FineTune, fixed={"epochs": 1, "batch_size": 32})
)


def resumed(small: Suite, folder: Path, cache: str = "empty") -> tuple[BenchmarkResult, str]:
    """Run with `--resume`, on results that are there and another cache; the result, and the first line printed."""
    said = StringIO()
    console = Console(file=said, width=200)
    finished = run_suite(small, options(folder, cache=folder / cache, resume=True, console=console))
    return finished, said.getvalue().splitlines()[0]


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def cell(finished: BenchmarkResult) -> Path:
    (file,) = finished.folder.glob("npz*.json")
    return file


def change(file: Path, edit: Callable[[dict[str, Any]], object], *, sealed: bool) -> None:
    """Edit a cell's file by hand, and correct its digest if it is `sealed`."""
    values = json.loads(file.read_text())
    edit(values)
    if sealed:
        del values["content"]
        values["content"] = digest_of(values)
    file.write_text(json.dumps(values))


def test_results_are_reused_without_the_cache(
    data: str, tmp_path: Path, counted: Counted, tuned: BenchmarkResult
) -> None:
    before = files(tuned.folder)
    again, said = resumed(suite(data), tmp_path)
    assert not counted.computed
    assert again.rows == tuned.rows
    assert files(again.folder) == before
    assert said == f"4 of 4 rows reused from {tuned.folder}"


def test_a_half_done_cell_goes_on(
    data: str, tmp_path: Path, counted: Counted, fixed: BenchmarkResult
) -> None:
    other_half = run_suite(suite(data, FIXED, seeds=(2,)), options(tmp_path / "other half"))
    counted.computed.clear()
    whole, said = resumed(suite(data, FIXED, seeds=(1, 2)), tmp_path)
    assert said.startswith("4 of 8 rows reused from")
    assert whole.rows[:4] == fixed.rows
    assert but_for_times(whole.rows[4:]) == but_for_times(other_half.rows)
    assert counted.computed.total() == 8  # a network and its audit for each row of the second seed


@pytest.mark.usefixtures("fixed")
def test_a_changed_method_has_its_rows_computed_again(
    data: str, tmp_path: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_suite(suite(data, FIXED, OTHER), options(tmp_path, resume=True))
    counted.computed.clear()
    monkeypatch.setattr(FineTune, "version", 2)
    again, said = resumed(suite(data, FIXED, OTHER), tmp_path, cache="cache")
    assert said.startswith("4 of 5 rows reused from")
    assert said.endswith("1 outdated row there: computed again, and replaced at the end")
    assert again.rows[:4] == first.rows[:4]
    assert counted.computed.total() == 2  # the network and its audit


@pytest.mark.usefixtures("fixed")
def test_another_version_of_pytorch_makes_other_rows(
    data: str, tmp_path: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = run.load_environment
    monkeypatch.setattr(
        run,
        "load_environment",
        lambda *given, **named: dataclasses.replace(now(*given, **named), torch="3.99"),
    )
    _, said = resumed(suite(data, FIXED), tmp_path)
    assert said.startswith("0 of 4 rows reused from")
    assert said.endswith("4 outdated rows there: computed again, and replaced at the end")
    assert counted.computed


def test_another_version_of_python_makes_the_same_rows_which_keep_theirs(
    data: str, tmp_path: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch, fixed: BenchmarkResult
) -> None:
    before = files(fixed.folder)
    monkeypatch.setattr("platform.python_version", lambda: "3.99.0")
    again, said = resumed(suite(data, FIXED), tmp_path)
    assert said.startswith("4 of 4 rows reused from")
    assert not counted.computed
    assert files(again.folder) == before


@pytest.mark.usefixtures("fixed")
def test_failures_are_tried_again(data: str, tmp_path: Path) -> None:
    failing = suite(data, FIXED, MethodVariant(name="failing", method_class=Failing))
    run_suite(failing, options(tmp_path, resume=True))
    again, said = resumed(failing, tmp_path, cache="cache")
    assert said.startswith("4 of 5 rows reused from")
    assert len(again.failures) == 1


@pytest.mark.usefixtures("fixed")
def test_each_row_keeps_the_machine_that_made_it(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "abacus")
    both, _ = resumed(suite(data, FIXED, seeds=(1, 2)), tmp_path)
    machines = [row["machine"]["machine"] for row in json.loads(cell(both).read_text())["rows"]]
    assert [name == "abacus" for name in machines] == 4 * [False] + 4 * [True]
    facts = json.loads((both.folder / "about.json").read_text())["facts"]
    assert facts["machine"] == f"{machines[0]} or abacus"


@pytest.mark.parametrize("damage", ["row", "made_by", "cut", "link", "newer", "no row"])
def test_a_file_that_is_not_what_was_written_is_refused(
    damage: str, data: str, tmp_path: Path, counted: Counted, fixed: BenchmarkResult
) -> None:
    file = cell(fixed)
    match damage:
        case "row":
            change(file, lambda one: one["rows"][3].update(average_gap=0.0), sealed=False)
        case "made_by":
            change(file, lambda one: one["rows"][3].update(made_by="0" * 64), sealed=False)
        case "cut":
            file.write_text(file.read_text()[:1000])
        case "link":
            file.symlink_to(file.rename(file.with_suffix(".other")))
        case "newer":
            change(file, lambda one: one.update(version=CELL_DOCUMENT.version + 1), sealed=True)
        case "no row":
            change(file, lambda one: one.update(rows=[3]), sealed=True)
    left = files(file.parent)
    with pytest.raises(ObliqError, match=file.name) as refused:
        resumed(suite(data, FIXED), tmp_path)
    assert "\n" not in str(refused.value)
    assert not counted.computed
    assert files(file.parent) == left


def test_files_of_an_older_version_are_written_again(
    data: str, tmp_path: Path, counted: Counted, fixed: BenchmarkResult
) -> None:
    change(cell(fixed), lambda one: one.update(version=CELL_DOCUMENT.version - 1), sealed=False)
    again, _ = resumed(suite(data, FIXED), tmp_path, cache="cache")
    assert not counted.computed  # the cache has it all
    assert again.rows == fixed.rows
    assert len(result_files.read_cell(cell(again))) == 4
