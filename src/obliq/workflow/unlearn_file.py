"""Unlearning where only the exported file of a network is left: integers in, integers out.

A file does not record its training data, so the caller states which samples the network was trained on. That cannot be
checked. The result is a folder:

    network.onnx    the file's graph; only codes and biases of its layers differ. network.pte for a program
    shipped.json    provenance, with the digests of both files
    trace.json      what was measured during unlearning
    request.json    what was to be forgotten; personal data
"""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from obliq.checkpoints import Provenance
from obliq.checkpoints.file_record import FILE_RECORD, FILE_RECORD_DOCUMENT, UNLEARNED_NAME, FileRecord
from obliq.checkpoints.run_folder import write_trace
from obliq.data import Examples, Splits
from obliq.data.datasets import data_label
from obliq.data.input_contract import InputContract
from obliq.data.request_file import REQUEST_FILE, Request, save_request
from obliq.errors import ModelError
from obliq.exporting import ExportedFile, parse_exported, sha256_of, share_of_changed_codes
from obliq.io.atomic import new_folder
from obliq.io.strict_json import encode
from obliq.methods import Method, ProxyMatching, run_method
from obliq.run import Run, Trace, TraceRow, together
from obliq.training.orthogonal_descent import OrthogonalDescent
from obliq.training.prediction import Predictor, TorchPredictor, collect_logits
from obliq.workflow.compare_files import require_fitting
from obliq.workflow.earlier_requests import earlier_entries
from obliq.workflow.file_claims import FileClaims
from obliq.workflow.gate import pass_gate
from obliq.workflow.pipeline import method_name, role_counts
from obliq.workflow.rehearsal import require_step_memory

COMPARED = 512
"""Test samples on which the predictions of a file and of the network rebuilt from it are compared."""

LEAST_AGREEMENT = 0.97
"""Share of equal predictions below which unlearning is refused. Values that lie exactly between two integers may round
differently in PyTorch: at most 0.2 % of predictions differed for untrained networks on noise, and none for trained
networks on their own data."""


@dataclass(frozen=True, kw_only=True)
class UnlearnedFile:
    """The result of unlearning in a file.

    Attributes:
        content: bytes of the new file.
        suffix: of files of its format.
        content_digest: SHA-256 of everything that it computes with.
        provenance: data, method and seed; `base_digest` is the content digest of the original file.
        base_file_digest: SHA-256 of the original file.
        changed_codes_percent: weight codes that differ from the original file.
        agreement: share of samples, 0 to 1, for which the network rebuilt from the original file predicts the same
            class as that file.
        agreement_after: the same for the unlearned network and the new file.
        trace: rows of the run.
        request: what was to be forgotten.
    """

    content: bytes = field(repr=False)
    suffix: str
    content_digest: str
    provenance: Provenance
    base_file_digest: str
    changed_codes_percent: float
    agreement: float
    agreement_after: float
    trace: Sequence[TraceRow] = field(repr=False)
    request: Request

    @property
    def name(self) -> str:
        """The name of the file in its folder."""
        return UNLEARNED_NAME + self.suffix


def unlearn_file(
    shipped: ExportedFile,
    splits: Splits,
    request: Request,
    method: Method,
    run: Run,
    claims: FileClaims | None = None,
    base: Provenance | None = None,
) -> UnlearnedFile:
    """Make the network in a file forget; scales stay as they are, only codes and biases move.

    Args:
        shipped: a file of the `integer` or `compact` form, or of another quantizer; see `obliq.exporting.qdq`.
        splits: the roles of the samples under the request.
        request: what is to be forgotten.
        method: one that descends orthogonally (`calibrated`, `oeu`) with `steps="frozen"`; other methods move scales,
            which devices would have to take over too.
        run: seed, device, listener.
        claims: how right the file is on its data, for the record.
        base: from the record next to the file, where it was unlearned itself.

    Raises:
        ModelError: for other forms, other methods, a rebuilt network that does not predict as the file does, and a
            result that no device could run.
        DataError: when the samples do not fit the file.
    """
    if not isinstance(method, OrthogonalDescent) or method.steps != "frozen":
        raise ModelError(
            f"{method_name(method)} moves the scales of a file; expected calibrated or oeu with "
            "steps frozen, which keeps them"
        )
    if isinstance(method, ProxyMatching):
        raise ModelError(
            "proxy-matching trains networks with new weights, which a file cannot become; expected calibrated or oeu, "
            "or the folder of the original"
        )
    require_fitting(shipped, splits.partition)
    parts = splits.partition
    compared = next(part for part in (parts.test, parts.holdout, parts.train) if len(part.indices)).spread(
        COMPARED
    )
    network, agreement = _rebuilt(shipped, compared)
    require_step_memory(network, splits.retain, method, run)
    trace, started = Trace(), time.perf_counter()
    listening = dataclasses.replace(run, listen=together(run.listen, trace))
    original = network
    network = run_method(method, original, splits, listening).cpu()
    content = shipped.with_weights(network)
    seconds = time.perf_counter() - started
    found = parse_exported(content)  # what no device could run is not written
    changed = share_of_changed_codes(shipped.contents, found.contents)
    assert changed is not None
    agreement_after = _agreement(network, found.predictor, compared)
    rule = splits.partition.drawn_by
    provenance = Provenance(
        role="unlearned",
        data=data_label(splits.partition.collection.name),
        rule=rule,
        partition_digest=splits.partition.digest,
        splits_digest=splits.digest,
        counts=role_counts(splits),
        method=method_name(method),
        method_fields=encode(method),
        base_digest=shipped.content_digest,
        seconds=seconds,
        seed=run.seed,
        threads=torch.get_num_threads(),
        inputs=InputContract.of(splits.partition.collection),
        accuracy={} if claims is None else claims.accuracy,
        gate=pass_gate(original, network, splits, trace.rows, None if base is None else base.gate),
        earlier=earlier_entries(base, shipped.content_digest, request.earlier),
        parts=tuple(part.digest for part in request.parts),
    )
    return UnlearnedFile(
        content=content,
        suffix=shipped.suffix,
        content_digest=found.content_digest,
        provenance=provenance,
        base_file_digest=shipped.file_digest,
        changed_codes_percent=100 * changed,
        agreement=agreement,
        agreement_after=agreement_after,
        trace=trace.rows,
        request=request,
    )


def _rebuilt(shipped: ExportedFile, examples: Examples) -> tuple[nn.Module, float]:
    """Rebuild a trainable network from a file and measure how far the two agree.

    Returns:
        The network and the share of samples, 0 to 1, with equal predictions.

    Raises:
        ModelError: when the share is below `LEAST_AGREEMENT`, or the file cannot be rebuilt.
    """
    try:
        network = shipped.rebuild()
    except ModelError as error:
        raise ModelError(f"{shipped.name}: {error}") from error
    agreement = _agreement(network, shipped.predictor, examples)
    if agreement < LEAST_AGREEMENT:
        raise ModelError(
            f"the network rebuilt from {shipped.name} predicts the same class on {100 * agreement:.1f} % of "
            f"{len(examples):,} samples; expected {100 * LEAST_AGREEMENT:.0f} % or more, since otherwise another "
            "network than the file's would be unlearned"
        )
    return network, agreement


def _agreement(network: nn.Module, file: Predictor, examples: Examples) -> float:
    """The share of samples, 0 to 1, for which a network and a file predict the same class."""
    found = collect_logits(TorchPredictor(network, torch.device("cpu")), examples)
    return float((found.argmax(dim=1) == collect_logits(file, examples).argmax(dim=1)).double().mean())


def save_unlearned_file(folder: Path, forgotten: UnlearnedFile, *, overwrite: bool = False) -> None:
    """Write everything into a new folder that appears when it is complete.

    Raises:
        ObliqError: when the folder exists or cannot be written.
    """
    record = FileRecord(
        file_digest=sha256_of(forgotten.content),
        content_digest=forgotten.content_digest,
        base_file_digest=forgotten.base_file_digest,
        changed_codes_percent=forgotten.changed_codes_percent,
        agreement_percent=100 * forgotten.agreement,
        agreement_after_percent=100 * forgotten.agreement_after,
        provenance=forgotten.provenance.as_saved(),
    )
    with new_folder(folder, overwrite=overwrite) as draft:
        (draft / forgotten.name).write_bytes(forgotten.content)
        (draft / FILE_RECORD).write_text(FILE_RECORD_DOCUMENT.to_text(record), encoding="utf-8")
        write_trace(draft, forgotten.trace)
        save_request(draft / REQUEST_FILE, forgotten.request)
