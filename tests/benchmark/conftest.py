"""The data set of the benchmark's tests, runs that several tests go on from, and a count of the tasks computed."""

import gc
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from obliq.benchmark import execute, workers
from obliq.benchmark.collect import read_rows
from obliq.benchmark.run import BenchmarkResult, run_suite
from obliq.benchmark.tasks import Task
from obliq.benchmark.worker_state import WorkerState
from tests.benchmark import toys


@pytest.fixture(scope="package", autouse=True)
def _modules_are_no_garbage() -> None:
    """Each task collects garbage first, and would go through all that was imported since tests were collected."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return toys.people(tmp_path_factory.mktemp("people") / "people.npz")


@pytest.fixture(scope="session")
def _tuned_run(data: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned")
    run_suite(toys.suite(data), toys.options(folder))
    gc.freeze()  # what only a run imports
    return folder


@pytest.fixture(scope="session")
def _fixed_run(data: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fixed")
    run_suite(toys.suite(data, toys.FIXED), toys.options(folder))
    gc.freeze()
    return folder


def _copied(run: Path, folder: Path) -> BenchmarkResult:
    shutil.copytree(run, folder, dirs_exist_ok=True)
    results = folder / "results" / "toy"
    return BenchmarkResult(results, read_rows(results), [])


@pytest.fixture
def tuned(_tuned_run: Path, tmp_path: Path) -> BenchmarkResult:
    """A run of `toys.suite(data)` in `tmp_path`, with its cache; computed once for all tests."""
    return _copied(_tuned_run, tmp_path)


@pytest.fixture
def fixed(_fixed_run: Path, tmp_path: Path) -> BenchmarkResult:
    """The same of `toys.suite(data, FIXED)`, in which nothing is tuned."""
    return _copied(_fixed_run, tmp_path)


class Counted:
    """How often each task was computed in this process; interrupts where it is told to."""

    def __init__(self) -> None:
        self.computed: Counter[str] = Counter()
        self.interrupt_at: int | None = None
        self.interruption: type[BaseException] = KeyboardInterrupt

    def execute(self, task: Task, state: WorkerState) -> None:
        if self.computed.total() == self.interrupt_at:
            raise self.interruption
        execute.execute_task(task, state)
        self.computed[state.keys.of(task)] += 1


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counted = Counted()
    monkeypatch.setattr(workers, "execute_task", counted.execute)
    return counted


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    assert torch.get_num_threads() == before
