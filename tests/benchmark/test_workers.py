"""A worker that died while it was idle is replaced, as one that died at work is."""

from multiprocessing import get_context
from pathlib import Path

import pytest

from obliq.benchmark.cache import ResultCache
from obliq.benchmark.cache_keys import Environment, TaskKeys
from obliq.benchmark.suite import Setup
from obliq.benchmark.tasks import Experiment, OriginalTask
from obliq.benchmark.worker_state import WorkerState
from obliq.benchmark.workers import Job, ProcessPool, WorkerProcess


def test_an_idle_worker_that_died_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = get_context("spawn")
    dead = context.Process(target=int)
    dead.start()
    dead.join()
    gone, other_end = context.Pipe()
    other_end.close()
    ours, theirs = context.Pipe()
    keys = TaskKeys(Environment(data={}, torch="", device="cpu"))
    pool = ProcessPool(WorkerState(ResultCache(tmp_path), keys), 1)
    pool._workers.append(WorkerProcess(dead, gone))
    monkeypatch.setattr(pool, "_start", lambda: WorkerProcess(dead, ours))
    job = Job(
        "key", OriginalTask(experiment=Experiment(setup=Setup(data="x", architecture="convnet"), seed=1))
    )
    with pool:
        pool.submit(job)
        assert pool.wait(0.0) == []
        assert theirs.recv() == job
        assert [one.job for one in pool._workers] == [job]
    assert gone.closed
    theirs.close()
