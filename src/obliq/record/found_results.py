"""Whether a result in the folder of a batch answers this batch.

A process that is killed may leave a complete result that it did not note, and the next one reads it. After a log was
restored from an older copy, or a folder was copied, the same place can hold the result of other requests. A machine of
a cluster can return anything. So a result is noted only where it names the samples and networks of the plan.
"""

from collections.abc import Callable
from pathlib import Path

from obliq.auditing import Audit
from obliq.auditing.contradiction import contradiction
from obliq.auditing.document import AUDIT_DOCUMENT
from obliq.checkpoints import Checkpoint, Provenance
from obliq.checkpoints.folder import DOCUMENT_FILE, NETWORK_DOCUMENT
from obliq.errors import RecordError
from obliq.exporting import read_exported
from obliq.methods import Retrain
from obliq.record.cases import REFUSED, Batch
from obliq.record.computing import WantedNetwork
from obliq.workflow.pipeline import AUDIT, method_name


class OtherResultError(RecordError):
    """A result does not answer the batch; the message continues a sentence about the result."""


def check_left(folder: Path, check: Callable[[Path], None]) -> None:
    """Refuse a folder that was there before a step, unless it is the result of the step.

    Raises:
        RecordError: when it is something else.
    """
    try:
        check(folder)
    except OtherResultError as error:
        raise RecordError(
            f"{folder} was there before this step and {error}; expected no folder there. Entries of the log may be "
            "lost, or the folder was copied: see `obliq record verify`, or move it away"
        ) from error


def check_new(folder: Path, check: Callable[[Path], None] | None, words: str) -> None:
    """Refuse what was just computed and written, unless it is the result of the step.

    Raises:
        RecordError: when it is something else.
    """
    try:
        if check is not None:
            check(folder)
    except OtherResultError as error:
        raise RecordError(
            f"{words}: what was returned {error}; expected the result of this step. Nothing of it is kept"
        ) from error


def require_network_of(folder: Path, splits: str, base: str, wanted: WantedNetwork) -> None:
    """Refuse a network that another request, method or seed led to, or that comes from another original.

    Args:
        folder: of the network.
        splits: digest of the roles of the samples.
        base: weights digest of the original.
        wanted: which network it should be.

    Raises:
        OtherResultError: naming what differs.
    """
    _, found = recorded_network(folder)
    retrained = wanted.method is None or isinstance(wanted.method, Retrain)
    expected = {
        "set of samples": (found.splits_digest, splits),
        "original": (found.base_digest, base),
        "role": (found.role, "retrained" if retrained else "unlearned"),
        "method": (
            None if wanted.method is None else found.method,
            wanted.method and method_name(wanted.method),
        ),
        "seed": (found.seed, wanted.seed),
    }
    _require({name for name, (is_, should) in expected.items() if is_ != should})


def require_export_of(file: Path, network: Checkpoint) -> None:
    """Refuse a file that another network was exported to.

    Raises:
        OtherResultError: when it is none of this network.
    """
    form = read_exported(file).exported_from(network.model, network.blueprint.input_shape)
    _require({"network"} if form is None else set())


def require_audit_of(folder: Path, batch: Batch, original: str) -> None:
    """Refuse an audit of other samples, networks or files, or with a verdict that its numbers contradict.

    Raises:
        OtherResultError: naming what differs.
    """
    assert batch.unlearned is not None
    assert batch.exported is not None
    audit: Audit = AUDIT_DOCUMENT.read(folder / AUDIT)
    networks = {one.weights_digest for one in audit.unlearned if one.artifact is None and not one.device}
    files = {one.artifact.file_digest for one in audit.artifacts if one.artifact}
    reference = None if audit.retrained is None else audit.retrained.weights_digest
    expected = {
        "set of samples": (audit.digests.get("splits"), batch.planned.splits),
        "original": (audit.original.weights_digest, original),
        "network": (networks, {batch.unlearned.network}),
        "file": (files, {batch.exported.file}),
        "number of references": (audit.counts.retrained, len(batch.retrained)),
        "reference": (reference in {one.network for one in batch.retrained.values()}, bool(batch.retrained)),
    }
    _require({name for name, (is_, should) in expected.items() if is_ != should})
    for entry in audit.unlearned:
        if problem := contradiction(entry):
            raise OtherResultError(f"is no audit as it was written ({problem})")


def verdict_of(audit: Audit) -> str:
    """The word of the first verdict that refuses a network or its file; else that of the network; empty without one."""
    words = [entry.verdict.word for entry in audit.unlearned if entry.verdict is not None]
    return next((word for word in words if word in REFUSED), words[0] if words else "")


def recorded_network(folder: Path) -> tuple[str, Provenance]:
    """The weights digest that a folder of a network states, and how the network came about."""
    document = NETWORK_DOCUMENT.read(folder / DOCUMENT_FILE)
    return document.weights_digest, document.provenance


def _require(others: set[str]) -> None:
    if others:
        raise OtherResultError(
            f"is the result of something else (another {', another '.join(sorted(others))})"
        )
