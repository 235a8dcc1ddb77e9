"""The long computations of a batch on a Ray cluster; the log, the keys and the certificates stay on this machine.

A task on the cluster writes nothing that lasts. Its progress and the state of its training are fetched every second and
kept here, so that the training goes on after a worker or this process was killed. Its result is written here, in the
same folders and with the same checks as without a cluster.
"""

import contextlib
import hashlib
import hmac
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from obliq.auditing import Audit
from obliq.auditing.document import AUDIT_DOCUMENT
from obliq.checkpoints.run_folder import SavedRun
from obliq.errors import ObliqError, RecordError
from obliq.exporting import ExportedFile
from obliq.record.cluster_results import (
    AUDIT_RESULT,
    ComputedFiles,
    FileContents,
    require_computed,
    require_words,
)
from obliq.record.cluster_task import ClusterTask, network_task
from obliq.record.cluster_worker import ClusterWorker, SentInputs, Versions, packed, unpacked
from obliq.record.computing import BatchInputs, WantedNetwork
from obliq.run import Listener
from obliq.workflow.ray_cluster import join_cluster, load_ray, one_line, require_answer

SECONDS_BETWEEN_NEWS = 1.0
SECONDS_TO_WAIT = 10.0
"""After which a note states that the cluster has no room."""
SECONDS_BETWEEN_NOTES = 60.0
LARGEST_AUDIT = 2**28
LEAST_ROOM, MOST_TIMES = 2**28, 64
"""Bytes that a network or the state of a training may have, on top of so many times those of the original."""
MOST_LOST = 3
"""How many workers may end during one task before it fails."""


class RayCluster:
    """Sends networks and audits to a cluster; a `Computer`. A context manager, which ends the connection."""

    def __init__(self, address: str, *, device: str, note: Callable[[str], None]) -> None:
        """Join a cluster, and check that a machine of it runs the same code.

        Args:
            address: see `obliq.workflow.ray_cluster.join_cluster`.
            device: where its machines compute: `auto`, `cpu` or `cuda`; `auto` is `cuda` where one has an accelerator.
            note: hears what a person should know.

        Raises:
            ObliqError: when Ray is not installed, cannot be reached, has no room, or runs other versions.
        """
        require_answer(address)
        os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = (
            "0"  # it sends the words of `uv run` and the working folder
        )
        self._ray, self._address, self._note = load_ray(), address, note
        self._idle: list[Any] = []
        self._waiting: list[ClusterTask] = []
        self._running: list[ClusterTask] = []
        self._ended: dict[str, ComputedFiles] = {}
        self._sent: tuple[BatchInputs, Any] | None = None
        self._largest = LEAST_ROOM
        self._noted = -math.inf
        with contextlib.chdir(Path.cwd().anchor):  # Ray sends the name of the working folder
            join_cluster(self._ray, address)
        try:
            self._device, self._room = self._resources(device)
            gpus = {"num_gpus": 1} if self._device == "cuda" else {}
            kind = self._ray.remote(
                num_cpus=torch.get_num_threads(), max_restarts=0, max_concurrency=2, **gpus
            )
            self._kind = kind(ClusterWorker)
            self._check()
        except BaseException:
            self._ray.shutdown()
            raise

    def network(self, inputs: BatchInputs, wanted: Sequence[WantedNetwork]) -> SavedRun:
        """Compute the first network, and the others at the same time where there is room; see `Computer`."""
        sent = self._reference(inputs)
        known = {task.name for task in (*self._waiting, *self._running)} | set(self._ended)
        for one in wanted:
            if one.name not in known:
                kept = inputs.run.trainings.folder / one.name if inputs.run.trainings else None
                self._waiting.append(network_task(one, sent, kept, self._largest))
        files = self._files(wanted[0].name, inputs.run.listen)
        with _named_errors("network"):
            found = unpacked(files, inputs.architecture)
        return replace(found, checkpoint=replace(found.checkpoint, source=inputs.original.source))

    def audit(self, inputs: BatchInputs, networks: Mapping[str, SavedRun], file: ExportedFile) -> Audit:
        """Measure; see `Computer`."""
        sent = self._reference(inputs)
        files = self._ray.put({name: packed(run) for name, run in networks.items()})
        task = ClusterTask(
            "audit",
            lambda worker: worker.audit.remote(sent, files, file.name, file.data),
            files=(AUDIT_RESULT,),
            largest=LARGEST_AUDIT,
        )
        self._waiting.append(task)
        content = self._files(task.name, inputs.run.listen)[AUDIT_RESULT]
        with _named_errors("audit"):
            return AUDIT_DOCUMENT.from_text(content)

    @property
    def is_ahead(self) -> bool:
        """Whether networks are computed, or wait for it, that were not fetched yet."""
        return bool(self._waiting or self._running or self._ended)

    def __enter__(self) -> "RayCluster":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ray.shutdown()

    def _resources(self, device: str) -> tuple[str, int]:
        """On which device the cluster computes, and how many tasks it has room for."""
        machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        if device == "auto":
            device = "cuda" if any(machine.get("GPU", 0) for machine in machines) else "cpu"
        threads, room = torch.get_num_threads(), 0
        for machine in machines:
            places = int(machine.get("CPU", 0)) // threads
            room += min(places, int(machine.get("GPU", 0))) if device == "cuda" else places
        if not room:
            largest = max((int(machine.get("CPU", 0)) for machine in machines), default=0)
            raise RecordError(
                f"no machine of the cluster at {self._address} has {threads} processors"
                + (" and an accelerator" if device == "cuda" else "")
                + f"; expected --threads {largest} or fewer"
                + (", or --device cpu" if device == "cuda" else "")
            )
        return device, room

    def _check(self) -> None:
        """Refuse a cluster whose machines run other code; its worker then waits for the first task."""
        worker = self._kind.remote(Versions.here(), self._device)
        answer = worker.refusal.remote()
        while not self._ray.wait([answer], timeout=SECONDS_TO_WAIT)[0]:
            self._note_busy()
        try:
            refused = self._ray.get(answer)
        except Exception as error:
            raise RecordError(
                f"the cluster at {self._address} cannot run Obliq: {_cause(error)}; expected the same version of it "
                "there, with the extras that this record needs"
            ) from error
        if refused := require_words(refused):
            raise RecordError(refused)
        self._idle.append(worker)

    def _note_busy(self) -> None:
        """State once a minute that no machine has begun."""
        now = time.monotonic()
        if now - self._noted < SECONDS_BETWEEN_NOTES:
            return
        self._noted = now
        self._note(
            f"the cluster at {self._address} has started no worker yet; waiting for a free machine. Ctrl-C ends this, "
            "and finished steps are kept"
        )

    def _reference(self, inputs: BatchInputs) -> Any:
        """A reference of the inputs on the cluster, where they are put once."""
        if self._sent is None or self._sent[0] is not inputs:
            own = inputs.run.trainings.key if inputs.run.trainings else b""
            key = hmac.new(own, b"on a cluster", hashlib.sha256).digest()
            try:
                given = SentInputs.of(inputs, self._device, key)
                self._sent = inputs, self._ray.put(given)
            except Exception as error:  # objects of the user's own may raise anything
                raise RecordError(
                    f"the data cannot be sent to the cluster: {_cause(error)}; expected arrays, or a data set that can "
                    "be pickled"
                ) from error
            self._largest = LEAST_ROOM + MOST_TIMES * sum(map(len, given.original.values()))
        return self._sent[1]

    def _files(self, name: str, listen: Listener) -> FileContents:
        """What a task wrote, once it has ended.

        Raises:
            RecordError: when it failed.
        """
        began = time.monotonic()
        while name not in self._ended:
            while self._waiting and len(self._running) < self._room:
                self._start(self._waiting.pop(0))
            self._ray.wait([task.result for task in self._running], timeout=SECONDS_BETWEEN_NEWS)
            for task in list(self._running):
                self._hear(task)
                if task.name == name:
                    for step in task.unheard:
                        listen(*step)
                    task.unheard.clear()
                self._end(task)
            waits = self._running and not any(task.begun for task in self._running)
            if waits and time.monotonic() - began > SECONDS_TO_WAIT:
                self._note_busy()
        outcome = self._ended.pop(name)
        if outcome.error:
            raise RecordError(outcome.error)
        return outcome.files

    def _start(self, task: ClusterTask) -> None:
        task.begin(self._idle.pop() if self._idle else self._kind.remote(Versions.here(), self._device))
        self._running.append(task)

    def _hear(self, task: ClusterTask) -> None:
        """Take in news that have come, and ask for the next ones."""
        if task.news is not None:
            if not self._ray.wait([task.news], timeout=0)[0]:
                return
            try:
                got = self._ray.get(task.news)
            except self._ray.exceptions.RayError:  # its result raises the same
                return
            task.take(got)
        task.news = task.worker.news.remote(task.steps)

    def _end(self, task: ClusterTask) -> None:
        """Take in how a task ended, if it did; one whose worker is gone begins again from its kept training."""
        if not self._ray.wait([task.result], timeout=0)[0]:
            return
        self._running.remove(task)
        try:
            self._ended[task.name] = require_computed(self._ray.get(task.result), task.files, task.largest)
            self._idle.append(task.worker)
        except self._ray.exceptions.RayActorError as error:
            task.lost += 1
            if task.lost < MOST_LOST:
                self._note("a worker of the cluster ended; another one goes on")
                self._waiting.insert(0, task)
            else:
                self._ended[task.name] = ComputedFiles(
                    error=f"{MOST_LOST} workers of the cluster ended, the last one with: {_cause(error)}; expected "
                    "enough memory there. The same command goes on"
                )
        except RecordError as error:
            self._ended[task.name] = ComputedFiles(error=str(error))
        except Exception as error:
            self._ended[task.name] = ComputedFiles(error=f"on the cluster: {_cause(error)}")


@contextlib.contextmanager
def _named_errors(result: str) -> Iterator[None]:
    """State of an error that it is about what a machine of the cluster returned."""
    try:
        yield
    except ObliqError as error:
        raise RecordError(f"the {result} that a machine of the cluster returned: {error}") from error


def _cause(error: Exception) -> str:
    """The last line of an error, which Ray puts after the stack of the worker."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return one_line(lines[-1] if lines else type(error).__name__)
