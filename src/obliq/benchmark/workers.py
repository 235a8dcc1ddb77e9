"""Where tasks are computed: in this process, or in several of one thread each."""

import contextlib
import hashlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Protocol, runtime_checkable

import torch

import obliq
from obliq.benchmark.execute import do
from obliq.benchmark.tasks import Task
from obliq.benchmark.worker_state import Workshop
from obliq.checkpoints import Blueprint
from obliq.data import Collection, PartitionRule, partition
from obliq.errors import ObliqError
from obliq.run import Run, keep_memory
from obliq.training.loop import Recipe
from obliq.workflow.pipeline import train_original


def warm_up(run: Run) -> None:
    """Train a small network on noise."""
    inputs = torch.rand(64, 1, 8, 8, generator=run.generator())
    noise = Collection(name="noise", inputs=inputs, labels=torch.arange(64) % 2, class_names=("a", "b"))
    blueprint = Blueprint(architecture="convnet", input_shape=(1, 8, 8), classes=2)
    recipe = Recipe(epochs=1, batch_size=16)
    train_original(partition(noise, PartitionRule()), blueprint, recipe, run)


THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Job:
    """A task to be done, and its key."""

    key: str
    task: Task


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        key: of the job.
        error: why it failed, in one line; empty when it did not.
        trace: where it failed, when that was not a user's mistake.
        seconds: that the task took, without the start of its worker; 0 when it failed.
        what: was to be done, in words.
    """

    key: str
    error: str = ""
    trace: str = ""
    seconds: float = 0.0
    what: str = ""


@runtime_checkable
class Pool(Protocol):
    """Some workers; used as a context manager, at whose end none is left."""

    @property
    def size(self) -> int:
        """How many tasks can run at once."""

    def submit(self, job: Job) -> None:
        """Begin a job; at most `size` at once."""

    def wait(self) -> Sequence[Outcome]:
        """The outcomes of at least one submitted task."""

    def __enter__(self) -> "Pool": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def attempt(job: Job, workshop: Workshop) -> Outcome:
    """Do a task; what goes wrong with it is an outcome too."""
    started = time.monotonic()
    try:
        do(job.task, workshop)
    except ObliqError as error:
        return Outcome(job.key, one_line(str(error)))
    except Exception as error:
        return Outcome(job.key, one_line(f"{type(error).__name__}: {error}"), traceback.format_exc())
    return Outcome(job.key, seconds=time.monotonic() - started)


def one_line(text: str) -> str:
    """The first 300 printable letters."""
    return " ".join(text.split())[:300] or "an error without a message"


class InProcess:
    """One worker: this process, with one torch thread while it works."""

    size = 1

    def __init__(self, workshop: Workshop) -> None:
        self._workshop, self._waiting = workshop, list[Job]()

    def submit(self, job: Job) -> None:
        """Keep the job for `wait`, which computes it."""
        self._waiting.append(job)

    def wait(self) -> Sequence[Outcome]:
        """Compute what was submitted."""
        done = [attempt(job, self._workshop) for job in self._waiting]
        self._waiting.clear()
        return done

    def __enter__(self) -> "InProcess":
        self._threads = torch.get_num_threads()
        torch.set_num_threads(1)
        warm_up(self._workshop.run(0))
        return self

    def __exit__(self, *ended: object) -> None:
        torch.set_num_threads(self._threads)


@dataclass
class Worker:
    """A process, the line to it, and what it is doing."""

    process: BaseProcess
    line: Connection
    job: Job | None = None


class Processes:
    """Several workers; one that dies fails its task only, and is replaced."""

    def __init__(self, workshop: Workshop, size: int) -> None:
        self.size = size
        self._workshop, self._workers, self._source = workshop, list[Worker](), source_digest()

    def submit(self, job: Job) -> None:
        """Send the job to a worker that has none."""
        worker = next((one for one in self._workers if one.job is None), None)
        if worker is None:
            worker = self._start()
            self._workers.append(worker)
        worker.job = job
        worker.line.send(job)

    def wait(self) -> Sequence[Outcome]:
        """Wait for the first worker that is done, or dead."""
        busy = {one.line: one for one in self._workers if one.job is not None}
        return [self._heard(busy[line]) for line in wait(list(busy)) if isinstance(line, Connection)]

    def _heard(self, worker: Worker) -> Outcome:
        job = worker.job
        assert job is not None
        try:
            outcome: Outcome = worker.line.recv()
        except (EOFError, OSError):
            worker.process.join()
            self._workers.remove(worker)
            code = worker.process.exitcode
            return Outcome(
                job.key, f"its process ended with status {code}; expected enough memory, and no signal"
            )
        worker.job = None
        return outcome

    def _start(self) -> Worker:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, self._workshop, self._source), daemon=True)
        with starting_with_one_thread():
            process.start()
        theirs.close()
        return Worker(process, ours)

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *ended: object) -> None:
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join()
            worker.line.close()


@contextlib.contextmanager
def starting_with_one_thread() -> Iterator[None]:
    """What is started meanwhile computes in one thread: libraries read that as they are loaded."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(THREADS)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def serve(line: Connection, workshop: Workshop, source: str) -> None:
    """A worker's life: a task after the other, until nobody sends any."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the process that started us
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that drafts are removed
    torch.set_num_threads(1)
    keep_memory()
    warm_up(workshop.run(0))
    refused = changed_source(source)
    while True:
        try:
            job = line.recv()
        except EOFError:
            return
        line.send(Outcome(job.key, refused) if refused else attempt(job, workshop))


def source_digest() -> str:
    """SHA-256 over the source files of this package."""
    files = sorted(Path(obliq.__path__[0]).rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def changed_source(expected: str) -> str:
    """Why a worker that starts now must not work: the source changed since the run began. Empty if it did not."""
    if source_digest() == expected:
        return ""
    return "the source code changed since the benchmark began; expected it to stay until the end (--resume)"
