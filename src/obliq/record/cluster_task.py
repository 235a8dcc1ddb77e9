"""One task on a cluster, and the state of its trainings, which is kept here so that another worker goes on from it."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from obliq.errors import RecordError
from obliq.io.atomic import write_file
from obliq.io.regular_file import read_regular_file
from obliq.record.cluster_results import MOST_FILES, NETWORK_FILES, require_news
from obliq.record.cluster_worker import LARGEST_SENT
from obliq.record.computing import WantedNetwork

_KEPT = re.compile(r"[0-9a-f]{64}\.safetensors")


@dataclass
class ClusterTask:
    """A task on the cluster.

    Attributes:
        name: of the step's folder.
        call: starts it on a worker; returns the reference of its `ComputedFiles`.
        files: names of the files that it may return.
        largest: bytes of all files that it may return at once.
        trainings: where the state of its trainings is kept.
        worker: the actor that runs it.
        result: reference of how it ended.
        news: reference of the next news.
        steps: how many steps of its training are known.
        unheard: those that nobody heard yet.
        kept: names of the states of trainings that came.
        lost: how many workers ended during it.
        begun: whether its worker has answered.
    """

    name: str
    call: Callable[[Any], Any]
    files: Collection[str]
    largest: int
    trainings: Path | None = None
    worker: Any = None
    result: Any = None
    news: Any = None
    steps: int = 0
    unheard: list[tuple[str, int, int, dict[str, float]]] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)
    lost: int = 0
    begun: bool = False

    def begin(self, worker: Any) -> None:
        """Start it on a worker."""
        self.worker, self.result, self.news = worker, self.call(worker), None
        self.steps, self.begun = 0, False

    def take(self, found: object) -> None:
        """Take in news.

        Raises:
            RecordError: when they are none, or too many.
        """
        news = require_news(found, self.largest)
        self.begun = True
        self.steps += len(news.steps)
        self.unheard += news.steps
        self.kept.update(news.trainings)
        if len(self.kept) > MOST_FILES:
            raise RecordError(
                f"a machine of the cluster returned more than {MOST_FILES} states of trainings; expected one for each "
                "training of a step"
            )
        for name, content in news.trainings.items():
            if self.trainings is not None and _KEPT.fullmatch(name):
                write_file(self.trainings / name, content, overwrite=True, private=True)


def network_task(wanted: WantedNetwork, sent: Any, kept: Path | None, largest: int) -> ClusterTask:
    """A task that computes a network.

    Args:
        wanted: which network.
        sent: reference of what it is computed from.
        kept: where the state of its trainings is kept.
        largest: bytes of all files that it may return at once.
    """

    def call(worker: Any) -> Any:
        return worker.network.remote(sent, wanted, _kept_trainings(kept))

    return ClusterTask(wanted.name, call, NETWORK_FILES, largest, trainings=kept)


def _kept_trainings(folder: Path | None) -> dict[str, bytes]:
    """The state of unfinished trainings in a folder; it is checked where it is used."""
    if folder is None or not folder.is_dir():
        return {}
    return {
        file.name: read_regular_file(file, LARGEST_SENT)
        for file in sorted(folder.iterdir())
        if _KEPT.fullmatch(file.name)
    }
