"""Workers that run tasks: this process, or several processes of one thread each.

The pool of processes is our own. When a worker dies, for instance for lack of memory, `concurrent.futures` and loky
declare the whole pool broken and lose the tasks of all workers. Pebble replaces the worker as we do, but it is under
the LGPL, and 40 lines shorter code is not worth a stricter licence than this package's own.
"""

import contextlib
import os
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Protocol, runtime_checkable

import torch

from obliq.benchmark.execute import MethodError, execute_task
from obliq.benchmark.tasks import Task
from obliq.benchmark.worker_state import WorkerState
from obliq.checkpoints import Blueprint
from obliq.data import Collection, PartitionRule, partition
from obliq.errors import ObliqError
from obliq.io.user_code import exit_as_error, terminate
from obliq.run import Run, keep_memory
from obliq.training.loop import Recipe
from obliq.workflow.pipeline import train_original
from obliq.workflow.ray_cluster import one_line, source_digest


def warm_up(run: Run) -> None:
    """Train a small network on noise, so that the first task's time does not include what torch loads on first use."""
    inputs = torch.rand(64, 1, 8, 8, generator=run.generator())
    noise = Collection(name="noise", inputs=inputs, labels=torch.arange(64) % 2, class_names=("a", "b"))
    blueprint = Blueprint(architecture="convnet", input_shape=(1, 8, 8), classes=2)
    recipe = Recipe(epochs=1, batch_size=16)
    train_original(partition(noise, PartitionRule()), blueprint, recipe, run)


THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Job:
    """A task to run, and its key."""

    key: str
    task: Task


@dataclass(frozen=True)
class TaskOutcome:
    """How a job ended.

    Attributes:
        key: of the job.
        error: the reason in one line, where it failed.
        trace: the traceback, where an error was not one of Obliq's own.
        seconds: duration of the task, without the start of its worker; 0 when it failed.
        description: the task in words.
        methods_own: whether the error is one of the method's own, which it would raise again.
    """

    key: str
    error: str = ""
    trace: str = ""
    seconds: float = 0.0
    description: str = ""
    methods_own: bool = False


@runtime_checkable
class WorkerPool(Protocol):
    """Some workers; used as a context manager, which ends them all."""

    @property
    def size(self) -> int:
        """How many tasks can run at once."""

    def submit(self, job: Job) -> None:
        """Start a job; at most `size` at once."""

    def wait(self, seconds: float | None = None) -> Sequence[TaskOutcome]:
        """Wait for the outcome of at least one submitted job, so long at most. None: without end."""

    def __enter__(self) -> "WorkerPool": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def run_job(job: Job, state: WorkerState) -> TaskOutcome:
    """Run a task; an error is an outcome, too."""
    started = time.monotonic()
    try:
        with exit_as_error():
            execute_task(job.task, state)
    except ObliqError as error:
        return TaskOutcome(job.key, one_line(str(error)), methods_own=isinstance(error, MethodError))
    except Exception as error:
        return TaskOutcome(job.key, one_line(f"{type(error).__name__}: {error}"), traceback.format_exc())
    return TaskOutcome(job.key, seconds=time.monotonic() - started)


class InProcessPool:
    """One worker: this process, with one torch thread while it works."""

    size = 1

    def __init__(self, state: WorkerState) -> None:
        self._state, self._waiting = state, list[Job]()

    def submit(self, job: Job) -> None:
        """Keep the job for `wait`, which runs it."""
        self._waiting.append(job)

    def wait(self, seconds: float | None = None) -> Sequence[TaskOutcome]:
        """Run the submitted jobs.

        Raises:
            TimeIsUp: from within a job that takes longer.
        """
        self._state.deadline = None if seconds is None else time.monotonic() + seconds
        done = [run_job(job, self._state) for job in self._waiting]
        self._waiting.clear()
        return done

    def __enter__(self) -> "InProcessPool":
        self._threads = torch.get_num_threads()
        torch.set_num_threads(1)
        warm_up(self._state.run(0))
        return self

    def __exit__(self, *ended: object) -> None:
        torch.set_num_threads(self._threads)


@dataclass
class WorkerProcess:
    """A process, the connection to it, and its job, if it has one."""

    process: BaseProcess
    connection: Connection
    job: Job | None = None


class ProcessPool:
    """Several workers. When one dies, only its own task fails, and another worker takes its place."""

    def __init__(self, state: WorkerState, size: int) -> None:
        self.size = size
        self._state, self._workers, self._source = state, list[WorkerProcess](), source_digest()

    def submit(self, job: Job) -> None:
        """Send the job to an idle worker."""
        for worker in [one for one in self._workers if one.job is None]:
            try:
                worker.connection.send(job)
            except OSError:  # it died while it was idle
                self._remove(worker)
            else:
                worker.job = job
                return
        worker = self._start()
        self._workers.append(worker)
        worker.job = job
        worker.connection.send(job)

    def wait(self, seconds: float | None = None) -> Sequence[TaskOutcome]:
        """Wait for the first worker that finishes or dies."""
        busy = {one.connection: one for one in self._workers if one.job is not None}
        ready = wait(list(busy), seconds)
        return [self._receive(busy[line]) for line in ready if isinstance(line, Connection)]

    def _receive(self, worker: WorkerProcess) -> TaskOutcome:
        job = worker.job
        assert job is not None
        try:
            outcome: TaskOutcome = worker.connection.recv()
        except (EOFError, OSError):
            self._remove(worker)
            code = worker.process.exitcode
            return TaskOutcome(
                job.key,
                f"its process ended with status {code}; expected it to have enough memory, and not to be killed",
            )
        worker.job = None
        return outcome

    def _remove(self, worker: WorkerProcess) -> None:
        worker.process.join()
        worker.connection.close()
        self._workers.remove(worker)

    def _start(self) -> WorkerProcess:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=worker_loop, args=(theirs, self._state, self._source), daemon=True)
        with single_threaded_children():
            process.start()
        theirs.close()
        return WorkerProcess(process, ours)

    def __enter__(self) -> "ProcessPool":
        return self

    def __exit__(self, *ended: object) -> None:
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join()
            worker.connection.close()


@contextlib.contextmanager
def single_threaded_children() -> Iterator[None]:
    """Processes started within compute in one thread: numerical libraries read these variables when loaded."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(THREADS)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def worker_loop(connection: Connection, state: WorkerState, source: str) -> None:
    """Run one task after the other, until the connection is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles an interrupt
    signal.signal(signal.SIGTERM, terminate)
    torch.set_num_threads(1)
    keep_memory()
    warm_up(state.run(0))
    refused = changed_source(source)
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        connection.send(TaskOutcome(job.key, refused) if refused else run_job(job, state))


def changed_source(expected: str) -> str:
    """Why a worker that starts now must refuse: the source changed since the run began. Empty if it did not."""
    if source_digest() == expected:
        return ""
    return (
        "the source code changed since the benchmark began; expected it to stay until the end (pass --resume to "
        "continue)"
    )
