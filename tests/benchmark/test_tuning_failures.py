"""A trial that failed for a passing reason is run again; one that its method refused is not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from obliq.benchmark import workers
from obliq.benchmark.report import render
from obliq.benchmark.run import BenchmarkResult, run_suite
from obliq.benchmark.tasks import RetrainedTask, Task
from obliq.benchmark.worker_state import WorkerState
from obliq.data import Splits
from obliq.errors import ModelError, ObliqError
from obliq.run import Run
from tests.benchmark.conftest import Counted
from tests.benchmark.toys import Tunable, but_for_times, options, suite

FIRST, SECOND = Tunable.search["learning_rate"]
PASSING = [MemoryError("no memory"), ObliqError("cannot write the state")]


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes most of the time of a report."""
    monkeypatch.setattr(render, "_both", lambda *_: ())


def failing(error: Exception, *rates: float) -> Callable[[Tunable, nn.Module, Splits, Run], nn.Module]:
    """The method that raises an error at some rates."""
    unlearn = Tunable.unlearn

    def instead(self: Tunable, model: nn.Module, splits: Splits, run: Run) -> nn.Module:
        if self.learning_rate in rates:
            raise error
        return unlearn(self, model, splits, run)

    return instead


def choice_in(finished: BenchmarkResult) -> dict[str, Any]:
    (choice,) = json.loads((finished.folder / "tuned.json").read_text())["choices"]
    return dict(choice)


def report_of(finished: BenchmarkResult) -> str:
    return (finished.folder / "report.md").read_text()


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_a_trial_that_failed_for_a_passing_reason_runs_again_alone(
    error: Exception, data: str, tmp_path: Path, counted: Counted, tuned: BenchmarkResult
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tunable, "unlearn", failing(error, FIRST))
        torn = run_suite(suite(data), options(tmp_path / "torn"))
    (failure,) = choice_in(torn)["failures"]
    assert (failure["trial"], failure["methods_own"]) == (0, False)
    assert str(error) in failure["error"]
    assert "could not be chosen, over all requests: tunable 1 of 2." in report_of(torn)
    once = set(counted.computed)
    whole = run_suite(suite(data), options(tmp_path / "torn", resume=True))
    assert set(counted.computed.values()) == {1}
    assert 2 <= len(set(counted.computed) - once) <= 4  # the trial, and the row if it is the best one
    assert choice_in(whole) == choice_in(tuned)
    assert but_for_times(whole.rows) == but_for_times(tuned.rows)
    assert report_of(whole).count("Trials that failed") == 0


def test_a_row_whose_trials_all_failed_is_there_once_the_reason_is_gone(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tuned: BenchmarkResult
) -> None:
    execute = workers.execute_task

    def full_disk(task: Task, state: WorkerState) -> None:
        if isinstance(task, RetrainedTask) and task.experiment.without_test:
            raise OSError("no space left")
        execute(task, state)

    with monkeypatch.context() as patch:
        patch.setattr(workers, "execute_task", full_disk)
        torn = run_suite(suite(data), options(tmp_path / "torn"))
    assert torn.rows[-1].error.startswith("every trial of 'tunable' failed in tuning: OSError: no space left")
    assert [one["methods_own"] for one in choice_in(torn)["failures"]] == [False, False]
    whole = run_suite(suite(data), options(tmp_path / "torn", resume=True))
    assert but_for_times(whole.rows) == but_for_times(tuned.rows)


def test_a_trial_that_its_method_refused_is_not_run_again(
    data: str, tmp_path: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = list[float]()
    refuse = failing(ModelError("the loss is no longer finite"), SECOND)

    def noted(self: Tunable, model: nn.Module, splits: Splits, run: Run) -> nn.Module:
        calls.append(self.learning_rate)
        return refuse(self, model, splits, run)

    monkeypatch.setattr(Tunable, "unlearn", noted)
    first = run_suite(suite(data), options(tmp_path))
    choice = choice_in(first)
    assert choice["failures"] == [{"trial": 1, "error": "the loss is no longer finite", "methods_own": True}]
    calls.clear()
    again = run_suite(suite(data), options(tmp_path, resume=True))
    assert calls == []
    assert choice_in(again) == choice
    assert "over all requests: tunable 1 of 2." in report_of(again)
    assert again.rows == first.rows


def test_a_failed_trial_of_an_older_file_is_taken_as_it_is(
    data: str, tmp_path: Path, counted: Counted, tuned: BenchmarkResult
) -> None:
    file = tuned.folder / "tuned.json"
    document = json.loads(file.read_text())
    (choice,) = document["choices"]
    choice["gaps"][1 - choice["chosen"]] = None
    file.write_text(json.dumps(document))
    again = run_suite(suite(data), options(tmp_path, resume=True))
    assert not counted.computed
    assert choice_in(again) == choice
