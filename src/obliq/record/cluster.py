"""The long computations of a batch on a Ray cluster; the log, the keys and the certificates stay on this machine.

A task on the cluster writes nothing that lasts. Its progress and the state of its training are fetched every second and
kept here, so that the training goes on after a worker or this process was killed. Its result is written here, in the
same folders and with the same checks as without a cluster.
"""

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from obliq.auditing import Audit, parse_audit
from obliq.checkpoints.run_folder import SavedRun
from obliq.errors import RecordError
from obliq.exporting import ExportedFile
from obliq.io.atomic import write_file
from obliq.io.regular_file import read_regular_file
from obliq.record.cluster_worker import (
    LARGEST_SENT,
    ClusterWorker,
    ComputedFiles,
    FileContents,
    News,
    SentInputs,
    Versions,
    packed,
    unpacked,
)
from obliq.record.computing import BatchInputs, WantedNetwork
from obliq.run import Listener
from obliq.workflow.ray_cluster import join_cluster, load_ray, one_line

SECONDS_BETWEEN_NEWS = 1.0
SECONDS_TO_WAIT = 10.0
"""After which a note states that the cluster has no room."""
MOST_LOST = 3
"""How many workers may end during one task before it fails."""
_KEPT = re.compile(r"[0-9a-f]{64}\.safetensors")


@dataclass
class ClusterTask:
    """A task on the cluster.

    Attributes:
        name: of the step's folder.
        call: starts it on a worker; returns the reference of its `ComputedFiles`.
        trainings: where the state of its trainings is kept.
        worker: the actor that runs it.
        result: reference of how it ended.
        news: reference of the next news.
        steps: how many steps of its training are known.
        unheard: those that nobody heard yet.
        lost: how many workers ended during it.
        begun: whether its worker has answered.
    """

    name: str
    call: Callable[[Any], Any]
    trainings: Path | None = None
    worker: Any = None
    result: Any = None
    news: Any = None
    steps: int = 0
    unheard: list[tuple[str, int, int, dict[str, float]]] = field(default_factory=list)
    lost: int = 0
    begun: bool = False


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
        self._ray, self._address, self._note = load_ray(), address, note
        self._idle: list[Any] = []
        self._waiting: list[ClusterTask] = []
        self._running: list[ClusterTask] = []
        self._ended: dict[str, ComputedFiles] = {}
        self._sent: tuple[BatchInputs, Any] | None = None
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
                self._waiting.append(_network_task(one, sent, kept))
        found = unpacked(self._files(wanted[0].name, inputs.run.listen), inputs.architecture)
        return replace(found, checkpoint=replace(found.checkpoint, source=inputs.original.source))

    def audit(self, inputs: BatchInputs, networks: Mapping[str, SavedRun], file: ExportedFile) -> Audit:
        """Measure; see `Computer`."""
        sent = self._reference(inputs)
        files = self._ray.put({name: packed(run) for name, run in networks.items()})
        task = ClusterTask("audit", lambda worker: worker.audit.remote(sent, files, file.name, file.data))
        self._waiting.append(task)
        return parse_audit(self._files(task.name, inputs.run.listen)["audit"].decode())

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
        if not self._ray.wait([answer], timeout=SECONDS_TO_WAIT)[0]:
            self._note(self._busy)
        try:
            refused = self._ray.get(answer)
        except Exception as error:
            raise RecordError(
                f"the cluster at {self._address} cannot run Obliq: {_cause(error)}; expected the same version of it "
                "there, with the extras that this record needs"
            ) from error
        if refused:
            raise RecordError(refused)
        self._idle.append(worker)

    @property
    def _busy(self) -> str:
        return f"the cluster at {self._address} is busy; waiting for a free machine"

    def _reference(self, inputs: BatchInputs) -> Any:
        """A reference of the inputs on the cluster, where they are put once."""
        if self._sent is None or self._sent[0] is not inputs:
            own = inputs.run.trainings.key if inputs.run.trainings else b""
            key = hmac.new(own, b"on a cluster", hashlib.sha256).digest()
            try:
                self._sent = inputs, self._ray.put(SentInputs.of(inputs, self._device, key))
            except Exception as error:  # objects of the user's own may raise anything
                raise RecordError(
                    f"the data cannot be sent to the cluster: {_cause(error)}; expected arrays, or a data set that can "
                    "be pickled"
                ) from error
        return self._sent[1]

    def _files(self, name: str, listen: Listener) -> FileContents:
        """What a task wrote, once it has ended.

        Raises:
            RecordError: when it failed.
        """
        began, noted = time.monotonic(), False
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
            if waits and not noted and time.monotonic() - began > SECONDS_TO_WAIT:
                self._note(self._busy)
                noted = True
        outcome = self._ended.pop(name)
        if outcome.error:
            raise RecordError(outcome.error)
        return outcome.files

    def _start(self, task: ClusterTask) -> None:
        task.worker = self._idle.pop() if self._idle else self._kind.remote(Versions.here(), self._device)
        task.result, task.news = task.call(task.worker), None
        task.steps, task.begun = 0, False
        self._running.append(task)

    def _hear(self, task: ClusterTask) -> None:
        """Take in news that have come, and ask for the next ones."""
        if task.news is not None:
            if not self._ray.wait([task.news], timeout=0)[0]:
                return
            try:
                news: News = self._ray.get(task.news)
            except self._ray.exceptions.RayError:  # its result raises the same
                return
            task.begun = True
            task.steps += len(news.steps)
            task.unheard += news.steps
            for name, content in news.trainings.items():
                if task.trainings is not None and _KEPT.fullmatch(name):
                    write_file(task.trainings / name, content, overwrite=True, private=True)
        task.news = task.worker.news.remote(task.steps)

    def _end(self, task: ClusterTask) -> None:
        """Take in how a task ended, if it did; one whose worker is gone begins again from its kept training."""
        if not self._ray.wait([task.result], timeout=0)[0]:
            return
        self._running.remove(task)
        try:
            self._ended[task.name] = self._ray.get(task.result)
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
        except Exception as error:
            self._ended[task.name] = ComputedFiles(error=f"on the cluster: {_cause(error)}")


def _network_task(wanted: WantedNetwork, sent: Any, kept: Path | None) -> ClusterTask:
    def call(worker: Any) -> Any:
        return worker.network.remote(sent, wanted, _kept_trainings(kept))

    return ClusterTask(wanted.name, call, trainings=kept)


def _kept_trainings(folder: Path | None) -> dict[str, bytes]:
    """The state of unfinished trainings in a folder; it is checked where it is used."""
    if folder is None or not folder.is_dir():
        return {}
    return {
        file.name: read_regular_file(file, LARGEST_SENT)
        for file in sorted(folder.iterdir())
        if _KEPT.fullmatch(file.name)
    }


def _cause(error: Exception) -> str:
    """The last line of an error, which Ray puts after the stack of the worker."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return one_line(lines[-1] if lines else type(error).__name__)
