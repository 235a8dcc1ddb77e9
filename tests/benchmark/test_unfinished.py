"""A suite that is stopped within a training goes on there, and gives the same network."""

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from obliq.benchmark import unfinished
from obliq.benchmark.cache import ResultCache
from obliq.benchmark.cache_keys import TaskKeys, load_environment
from obliq.benchmark.execute import execute_task
from obliq.benchmark.suite import Setup
from obliq.benchmark.tasks import Experiment, OriginalTask
from obliq.benchmark.worker_state import WorkerState
from obliq.run import Run
from obliq.training import continuation
from obliq.training.loop import Recipe

EPOCHS = 6


@pytest.fixture(autouse=True)
def _every_state_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (continuation, unfinished):
        monkeypatch.setattr(module, "SECONDS_BETWEEN", 0.0)


def test_an_interrupted_task_goes_on_within_its_training(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = Setup(data=data, architecture="convnet", recipe=Recipe(epochs=EPOCHS, batch_size=32))
    task = OriginalTask(experiment=Experiment(setup=setup, seed=1))
    states = [
        WorkerState(
            ResultCache(tmp_path / name), TaskKeys(load_environment([data], None, "cpu", autocast=False))
        )
        for name in ("whole", "torn")
    ]
    execute_task(task, states[0])
    epochs, stop, plain = [], True, WorkerState.run

    def watched(self: WorkerState, seed: int) -> Run:
        def listen(stage: str, step: int, of: int, values: Mapping[str, float]) -> None:
            epochs.append(step)
            if stop and step == 4:
                raise KeyboardInterrupt

        return dataclasses.replace(plain(self, seed), listen=listen)

    monkeypatch.setattr(WorkerState, "run", watched)
    with pytest.raises(KeyboardInterrupt):
        execute_task(task, states[1])
    left = tmp_path / "torn" / unfinished.TRAININGS / states[1].keys.of(task)
    assert float((left / unfinished.SECONDS).read_text()) > 0
    (left / unfinished.SECONDS).write_text("1000")
    stop = False
    execute_task(task, states[1])
    assert epochs[-2:] == [5, 6]
    assert len([step for step in epochs if step <= 4]) <= 8, "kept epochs are reported, not trained, again"
    found = [state.cache.find(state.keys.of(task)) for state in states]
    assert found[0] is not None is not found[1]
    assert found[0].values["weights_digest"] == found[1].values["weights_digest"]
    assert found[0].values["seconds"] < 1000 < found[1].values["seconds"]
    assert not left.exists()


def test_a_task_stops_within_its_training_at_the_deadline_and_goes_on_there(
    data: str, tmp_path: Path
) -> None:
    setup = Setup(data=data, architecture="convnet", recipe=Recipe(epochs=EPOCHS, batch_size=32))
    task = OriginalTask(experiment=Experiment(setup=setup, seed=1))
    keys = TaskKeys(load_environment([data], None, "cpu", autocast=False))
    whole = WorkerState(ResultCache(tmp_path / "whole"), keys)
    torn = WorkerState(ResultCache(tmp_path / "torn"), keys, deadline=time.monotonic())
    execute_task(task, whole)
    with pytest.raises(unfinished.TimeIsUp):
        execute_task(task, torn)
    assert (tmp_path / "torn" / unfinished.TRAININGS / keys.of(task)).exists()
    torn.deadline = None
    execute_task(task, torn)
    found = [state.cache.find(keys.of(task)) for state in (whole, torn)]
    assert found[0] is not None is not found[1]
    assert found[0].values["weights_digest"] == found[1].values["weights_digest"]


@pytest.mark.parametrize("text", ["", "nan", "inf", "-1", "soon", "1" * 200])
def test_a_time_that_is_none_counts_as_none(text: str, tmp_path: Path) -> None:
    folder = tmp_path / unfinished.TRAININGS / "key"
    folder.mkdir(parents=True)
    (folder / unfinished.SECONDS).write_text(text)
    with unfinished.UnfinishedTask.begin(ResultCache(tmp_path), "key") as task:
        assert task.earlier == 0.0
    assert not folder.exists()
