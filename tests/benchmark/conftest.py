"""The data set of the benchmark's tests, and a count of the tasks that are computed."""

from collections import Counter
from collections.abc import Iterator

import pytest
import torch

from obliq.benchmark import execute, workers
from obliq.benchmark.tasks import Task
from obliq.benchmark.worker_state import WorkerState
from tests.benchmark import toys


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return toys.people(tmp_path_factory.mktemp("people") / "people.npz")


class Counted:
    """How often each task was computed in this process; interrupts where it is told to."""

    def __init__(self) -> None:
        self.computed: Counter[str] = Counter()
        self.interrupt_at: int | None = None

    def execute(self, task: Task, state: WorkerState) -> None:
        if self.computed.total() == self.interrupt_at:
            raise KeyboardInterrupt
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
