"""The committed results are those that today's code would compute under the same keys."""

import csv
import dataclasses
import functools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from obliq.benchmark.cache_keys import Environment, TaskKeys
from obliq.benchmark.plan import PlannedRow, planned_rows
from obliq.benchmark.report.background import read_background
from obliq.benchmark.result_files import read_cell, row_key
from obliq.benchmark.suite import Suite, cell_file_name, cell_of
from obliq.benchmark.suites import SUITES, suite_named
from obliq.benchmark.tuning import TUNED, TunedFields, read_choices
from obliq.methods.method import LARGEST_DROP

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
COMMITTED = sorted(name for name in SUITES if (RESULTS / name).is_dir())


def rows_with_tuning(suite: Suite, tuned: TunedFields) -> Iterator[PlannedRow]:
    """The planned rows of every variant whose tuning is committed."""
    for one in suite.variants:
        followed = tuple(other for other in suite.variants if other.name == one.follows)
        try:
            yield from planned_rows(dataclasses.replace(suite, variants=(one, *followed)), tuned)
        except KeyError:  # a method that was added since
            continue


def place(row: PlannedRow) -> tuple[tuple[str, ...], int]:
    """The cell and the seed of a row."""
    experiment = row.problem.experiment
    return cell_of(experiment.setup, row.problem.scenario), experiment.seed


@functools.cache
def keys_of(data: str, digest: str, torch: str, device: str, **how: bool) -> TaskKeys:
    """The keys on the machine that a row was computed on."""
    return TaskKeys(Environment(data={data: digest}, torch=torch, device=device, **how))


@pytest.mark.parametrize("name", COMMITTED)
def test_every_committed_row_is_current(name: str) -> None:
    suite = suite_named(name)
    by_place = {
        (*place(row), row.name): row
        for row in rows_with_tuning(suite, TunedFields(read_choices(RESULTS / name / TUNED, suite)))
    }
    count, facts = 0, read_background(RESULTS / name).facts
    for cell in {cell for cell, _, _ in by_place}:
        file = RESULTS / name / cell_file_name(cell)
        if not file.exists():  # not computed yet, in a long suite; `count` finds rows without a file
            continue
        document = json.loads(file.read_text())
        rows = read_cell(file)
        assert len(rows) == len(document["rows"]), f"{file.name} is of an older version"
        for one in rows:
            keys = keys_of(
                document["data"],
                document["data_digest"],
                one.origin.machine["torch"],
                document["device"],
                autocast="convolutions in" in facts,
                compiled="trainings" in facts,
            )
            row = by_place[cell, one.row.seed, one.row.method]
            assert one.origin.made_by == row_key(row, keys), f"{file.name}: {one.row.method}"
            count += 1
    assert count == len((RESULTS / name / "rows.csv").read_text().splitlines()) - 1


def test_what_retraining_loses_is_what_the_gate_was_chosen_by() -> None:
    """The numbers that docs/methods.md and `LARGEST_DROP` state."""
    losses: dict[str, float] = {}
    for name in COMMITTED:
        with (RESULTS / name / "rows.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        at = ("data", "architecture", "bits", "scenario", "seed")
        originals = {tuple(row[one] for one in at): row for row in rows if row["kind"] == "original"}
        for row in (one for one in rows if one["kind"] == "retrained"):
            before = originals[tuple(row[one] for one in at)]
            lost = max(float(before[one]) - float(row[one]) for one in ("retain_accuracy", "test_accuracy"))
            losses[row["weights_digest"]] = max(lost, losses.get(row["weights_digest"], 0.0))
    assert len(losses) > 170
    *others, second, most = sorted(losses.values())
    assert (round(others[-1], 1), round(second, 1), round(most, 1)) == (4.6, 5.6, 6.3)
    assert others[-1] < LARGEST_DROP < second
