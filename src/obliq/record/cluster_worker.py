"""What a machine of a cluster does and gets: one network or one audit at a time, and nothing of the record itself.

It gets no key of the record, no case number, and no name of a person or file: samples and people are the numbers that
they have in the data. Networks travel as the files of their folders.
"""

import dataclasses
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from obliq.auditing import render_audit
from obliq.checkpoints.run_folder import SavedRun, load_run
from obliq.data import Collection, Examples, MissingExamples, Partition, Splits
from obliq.data.request_file import Request
from obliq.errors import ObliqError
from obliq.exporting import ExportedFile, open_exported
from obliq.io.regular_file import read_regular_file
from obliq.record.cluster_results import AUDIT_RESULT, ComputedFiles, FileContents, News
from obliq.record.computing import BatchInputs, WantedNetwork, compute_audit, compute_network, write_network
from obliq.run import Run, TrainingsFolder, device_named, keep_memory
from obliq.workflow.compare_files import is_exchangeable
from obliq.workflow.ray_cluster import source_digest

LARGEST_SENT = 2**34
"""Bytes of one file."""


@dataclass(frozen=True, kw_only=True)
class SentInputs:
    """`BatchInputs` without the names and keys in it.

    Attributes:
        original: the files of the original network.
        splits: the roles of the samples, without any name; their salt is drawn for the journey.
        digest: what networks and audits state in place of their digest.
        by_chance: whether chance alone chose the forget set.
        architecture: the user's own code of the network, which the cluster must have, too.
        device: name of the device.
        autocast: see `obliq.run.Run`.
        threads: CPU threads.
        trainings_key: names and seals the state of unfinished trainings.
    """

    original: FileContents
    splits: Splits
    digest: str
    by_chance: bool
    architecture: str | None
    device: str
    autocast: bool
    threads: int
    trainings_key: bytes = field(repr=False)

    @classmethod
    def of(cls, inputs: BatchInputs, device: str, trainings_key: bytes) -> "SentInputs":
        """What is sent of the inputs of a batch."""
        return cls(
            original=packed(SavedRun(inputs.original, ())),
            splits=without_names(inputs.splits),
            digest=inputs.digest,
            by_chance=is_exchangeable(inputs.request),
            architecture=inputs.architecture,
            device=device,
            autocast=inputs.run.autocast,
            threads=torch.get_num_threads(),
            trainings_key=trainings_key,
        )


def without_names(splits: Splits) -> Splits:
    """The same samples in the same roles, without any name and with another salt.

    Digests of the data stay the same. What is read sample by sample stays the object that reads it.
    """
    parts, whole = splits.partition, splits.partition.collection
    collection = Collection(
        name="sent",
        inputs=whole.inputs,
        labels=whole.labels,
        subjects=whole.subjects,
        mean=whole.mean,
        deviation=whole.deviation,
        class_names=tuple(map(str, range(whole.classes))),
    )

    def moved(part: Examples) -> Examples:
        if isinstance(part, MissingExamples):
            return MissingExamples(collection, part.indices, part.role)
        return Examples(collection, part.indices)

    partition = Partition(
        rule=None, train=moved(parts.train), holdout=moved(parts.holdout), test=moved(parts.test)
    )
    return Splits(
        partition=partition,
        forget=moved(splits.forget),
        retain=moved(splits.retain),
        holdout=moved(splits.holdout),
        test=moved(splits.test),
        salt=secrets.token_bytes(32),
        whole_classes=splits.whole_classes,
    )


def packed(run: SavedRun) -> dict[str, bytes]:
    """A network and its trace as the files of their folder, without the place of the data."""
    run = dataclasses.replace(run, checkpoint=dataclasses.replace(run.checkpoint, source=None))
    with tempfile.TemporaryDirectory(prefix="obliq-") as name:
        folder = Path(name)
        write_network(folder, run)
        return {file.name: read_regular_file(file, LARGEST_SENT) for file in folder.iterdir()}


def unpacked(files: FileContents, architecture: str | None) -> SavedRun:
    """The reverse of `packed`, with every check of a saved network.

    Raises:
        ModelError: when they are not the files of a network.
    """
    with tempfile.TemporaryDirectory(prefix="obliq-") as name:
        for file, content in files.items():
            (Path(name) / Path(file).name).write_bytes(content)
        return load_run(Path(name), architecture)


@dataclass(frozen=True)
class Versions:
    """What must be equal for equal integers, as far as it can be known.

    Attributes:
        obliq: digest of the source.
        torch: its version, without the label of its build.
    """

    obliq: str
    torch: str

    @classmethod
    def here(cls) -> "Versions":
        """Those of this process."""
        return cls(obliq=source_digest(), torch=torch.__version__.partition("+")[0])


class ClusterWorker:
    """One process of the cluster; `news` is called while a task runs."""

    def __init__(self, expected: Versions, device: str) -> None:
        keep_memory()
        self._refusal = refusal(expected, device)
        self._steps: list[tuple[str, int, int, dict[str, float]]] = []
        self._trainings: Path | None = None
        self._told: dict[str, int] = {}

    def refusal(self) -> str:
        """Why this machine must not compute; empty where it may."""
        return self._refusal

    def network(self, sent: SentInputs, wanted: WantedNetwork, kept: FileContents) -> ComputedFiles:
        """Compute a network.

        Args:
            sent: what from.
            wanted: which network.
            kept: state of its unfinished trainings.
        """
        if self._refusal:
            return ComputedFiles(error=self._refusal)
        try:
            with tempfile.TemporaryDirectory(prefix="obliq-") as name:
                self._told, self._trainings = {}, Path(name)
                for file, content in kept.items():
                    (self._trainings / Path(file).name).write_bytes(content)
                try:
                    return ComputedFiles(packed(compute_network(self._inputs(sent), wanted)))
                finally:
                    self._steps, self._trainings = [], None
        except ObliqError as error:
            return ComputedFiles(error=str(error))

    def audit(
        self, sent: SentInputs, networks: Mapping[str, FileContents], name: str, content: bytes
    ) -> ComputedFiles:
        """Compare networks and an exported file with the original.

        Args:
            sent: what they were computed from.
            networks: by name.
            name: of the file.
            content: of the file.
        """
        if self._refusal:
            return ComputedFiles(error=self._refusal)
        try:
            inputs = self._inputs(sent)
            runs = {one: unpacked(files, sent.architecture) for one, files in networks.items()}
            measured = compute_audit(inputs, runs, _opened(name, content))
            self._steps = []
            return ComputedFiles({AUDIT_RESULT: render_audit(measured).encode()})
        except ObliqError as error:
            return ComputedFiles(error=str(error))

    def news(self, after: int) -> News:
        """What has happened.

        Args:
            after: how many steps are known.
        """
        changed: dict[str, bytes] = {}
        folder = self._trainings
        try:
            for file in sorted(folder.glob("*.safetensors")) if folder else ():
                modified = file.stat().st_mtime_ns
                if self._told.get(file.name) != modified:
                    changed[file.name] = read_regular_file(file, LARGEST_SENT)
                    self._told[file.name] = modified
        except (OSError, ObliqError):  # the task has ended meanwhile
            changed = {}
        return News(tuple(self._steps[after:]), changed)

    def _listen(self, stage: str, step: int, of: int, values: Mapping[str, float]) -> None:
        plain = {name: value if type(value) is int else float(value) for name, value in values.items()}
        self._steps.append((stage, step, of, plain))

    def _inputs(self, sent: SentInputs) -> BatchInputs:
        torch.set_num_threads(sent.threads)  # here, as OpenMP keeps the number for each thread of a process
        kept = self._trainings
        run = Run(
            device=device_named(sent.device),
            autocast=sent.autocast,
            listen=self._listen,
            trainings=TrainingsFolder(kept, sent.trainings_key) if kept else None,
        )
        kind = "random=1" if sent.by_chance else "class=0"
        return BatchInputs(
            original=unpacked(sent.original, sent.architecture).checkpoint,
            splits=sent.splits,
            request=Request.of(sent.splits, kind),
            digest=sent.digest,
            run=run,
            architecture=sent.architecture,
        )


def refusal(expected: Versions, device: str) -> str:
    """Why this machine must not compute; empty where it may."""
    found = Versions.here()
    if found.torch != expected.torch:
        return (
            f"a machine of the cluster has torch {found.torch}; expected {expected.torch}, as on this machine"
        )
    if found.obliq != expected.obliq:
        return "a machine of the cluster has another version of Obliq; expected the same source as on this machine"
    try:
        device_named(device)
    except ObliqError as error:
        return f"a machine of the cluster: {error}"
    return ""


def _opened(name: str, content: bytes) -> ExportedFile:
    with tempfile.TemporaryDirectory(prefix="obliq-") as folder:
        file = Path(folder) / Path(name).name
        file.write_bytes(content)
        return open_exported(file)
