"""The long computations of a batch: networks and audits, on this machine; `obliq.record.cluster` sends them to Ray."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from obliq.auditing import Audit
from obliq.checkpoints import Checkpoint
from obliq.checkpoints.folder import write_checkpoint
from obliq.checkpoints.run_folder import SavedRun, write_trace
from obliq.data import Splits
from obliq.data.request_file import Request
from obliq.exporting import ExportedFile
from obliq.methods import Method
from obliq.run import Run, utc_now
from obliq.workflow.compare_runs import compare_runs
from obliq.workflow.pipeline import unlearn_original
from obliq.workflow.rehearsal import require_step_memory


@dataclass(frozen=True, kw_only=True)
class BatchInputs:
    """What the networks of a batch are computed from.

    Attributes:
        original: the network before all requests.
        splits: the roles of the samples; the forget set holds those of all requests so far.
        request: the same as a request.
        digest: of the splits, keyed; networks and audits state it.
        run: device, listener and kept trainings; each network has a seed of its own.
        architecture: see `obliq.checkpoints.load_checkpoint`.
    """

    original: Checkpoint
    splits: Splits
    request: Request
    digest: str
    run: Run
    architecture: str | None = None


@dataclass(frozen=True, kw_only=True)
class WantedNetwork:
    """A network that a step needs.

    Attributes:
        name: of the step's folder.
        method: leads to it from the original; None for a reference that is retrained in a way of the user's own, which
            no `Computer` can do.
        seed: of every random draw.
    """

    name: str
    method: Method | None
    seed: int


@runtime_checkable
class Computer(Protocol):
    """Where the long computations of a batch run."""

    def network(self, inputs: BatchInputs, wanted: Sequence[WantedNetwork]) -> SavedRun:
        """The first of these networks; the next calls will want the others.

        Raises:
            ObliqError: when it cannot be computed.
        """

    def audit(self, inputs: BatchInputs, networks: Mapping[str, SavedRun], file: ExportedFile) -> Audit:
        """Compare networks and a file with the original.

        Raises:
            ObliqError: when they do not belong together.
        """

    @property
    def is_ahead(self) -> bool:
        """Whether networks are being computed that were not fetched yet."""


class ThisMachine:
    """The process itself."""

    is_ahead = False

    def network(self, inputs: BatchInputs, wanted: Sequence[WantedNetwork]) -> SavedRun:
        """Compute the first one; see `Computer`."""
        return compute_network(inputs, wanted[0])

    def audit(self, inputs: BatchInputs, networks: Mapping[str, SavedRun], file: ExportedFile) -> Audit:
        """Measure; see `Computer`."""
        return compute_audit(inputs, networks, file)


def compute_network(inputs: BatchInputs, wanted: WantedNetwork) -> SavedRun:
    """Unlearn or retrain.

    Raises:
        ObliqError: when a step does not fit into memory, or the training fails.
    """
    assert wanted.method is not None
    run = dataclasses.replace(inputs.run, seed=wanted.seed)
    require_step_memory(inputs.original.model, inputs.splits.retain, wanted.method, run)
    found = unlearn_original(inputs.original, inputs.splits, inputs.request, wanted.method, run)
    provenance = dataclasses.replace(found.checkpoint.provenance, splits_digest=inputs.digest)
    return dataclasses.replace(found, checkpoint=dataclasses.replace(found.checkpoint, provenance=provenance))


def compute_audit(inputs: BatchInputs, networks: Mapping[str, SavedRun], file: ExportedFile) -> Audit:
    """Compare networks and a file with the original.

    Raises:
        ObliqError: when they do not belong together.
    """
    found = compare_runs(
        inputs.original,
        networks,
        inputs.splits,
        inputs.run.device,
        {file.name: file},
        inputs.request,
        answered=inputs.digest,
    )
    return dataclasses.replace(found, digests={**found.digests, "splits": inputs.digest})


def write_network(folder: Path, run: SavedRun) -> None:
    """Write a network and its trace into an existing folder, without the request, which is kept encrypted."""
    write_checkpoint(folder, run.checkpoint, created=utc_now().isoformat())
    write_trace(folder, run.trace)
