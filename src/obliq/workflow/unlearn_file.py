"""Integers in, integers out: unlearning where only the exported file of a network is left.

The file says nothing about data, so the caller says which samples it was trained on; whether that is true
cannot be checked. The result is a folder:

    network.onnx    the file's graph, byte for byte but for codes and biases of its layers; network.pte where that
                    was a program
    shipped.json    how it was made, with the digests of both files
    trace.json      what was measured while it was made
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
from obliq.checkpoints.file_record import FILE_RECORD, FILE_RECORD_DOCUMENT, FileRecord
from obliq.checkpoints.run_folder import write_trace
from obliq.data import Examples, Splits
from obliq.data.request_file import REQUEST_FILE, Request, save_request
from obliq.errors import ModelError
from obliq.exporting import Shipped, file_content_digest, running, sha256_of
from obliq.exporting.exported_file import PROGRAM_SUFFIX, SUFFIX, Editable, changed_share, editable
from obliq.exporting.file_content import admitted
from obliq.exporting.optional import is_program
from obliq.io.atomic import new_folder
from obliq.io.strict_json import encode
from obliq.methods import OEU, Method
from obliq.run import Run, Trace, TraceRow, together
from obliq.training.prediction import Predictor, TorchPredictor, collect_logits
from obliq.workflow.compare_files import require_fitting
from obliq.workflow.pipeline import method_name, role_counts

NETWORK = "network"
"""The name of the new file, before the suffix of its kind."""

COMPARED = 512
"""Samples of the test part on which a file and the network rebuilt from it must answer alike."""

LEAST_AGREEMENT = 0.97
"""Rounding at the very half lets a few answers differ: at most 0.2 % were seen with untrained networks on noise, and
none with trained ones on their data."""


@dataclass(frozen=True, kw_only=True)
class UnlearnedFile:
    """What came out.

    Attributes:
        content: bytes of the new file.
        content_digest: SHA-256 of everything that it computes with.
        provenance: how it was made; `base_digest` is the content digest of the file that it came from.
        base_file_digest: SHA-256 of that file.
        changed_codes_percent: weight codes that differ from it.
        agreement: share of samples, 0 to 1, on which the network that was rebuilt from it answered as it does.
        agreement_after: the same for what was unlearned and the new file.
        trace: rows of the run.
        request: what was to be forgotten.
    """

    content: bytes = field(repr=False)
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
        """Of the file in its folder."""
        return NETWORK + (PROGRAM_SUFFIX if is_program(self.content) else SUFFIX)


def unlearn_file(
    shipped: Shipped, splits: Splits, request: Request, method: Method, run: Run
) -> UnlearnedFile:
    """Make the network in a file forget, on the grid that the file has.

    Args:
        shipped: a file of the `integer` or `compact` form, or of another quantizer; see `obliq.exporting.qdq`.
        splits: the request's.
        request: what is to be forgotten.
        method: orthogonal entropy unlearning with `steps="frozen"`; other methods move scales, which
            devices would have to take over too.
        run: seed, device, listener.

    Raises:
        ModelError: for other forms, other methods, a rebuilt network that does not answer as the file, and a
            result that no device could run.
        DataError: when the samples do not fit the file.
    """
    if not isinstance(method, OEU) or method.steps != "frozen":
        raise ModelError(
            f"{method_name(method)} moves the scales of a file; expected oeu with steps frozen, which keeps them"
        )
    require_fitting(shipped, splits.partition)
    compared = _some_of(splits.partition.test)
    file, network, agreement = _rebuilt(shipped, compared)
    trace, started = Trace(), time.perf_counter()
    listening = dataclasses.replace(run, listen=together(run.listen, trace))
    network = method.unlearn(network, splits, listening).cpu()
    content = file.written(network)
    seconds = time.perf_counter() - started
    found = admitted(content)  # what no device could run is not written
    changed = changed_share(shipped.contents, found)
    assert changed is not None
    agreement_after = _agreement(network, running(content, found), compared)
    rule = splits.partition.drawn_by
    provenance = Provenance(
        role="unlearned", data=splits.partition.collection.name, rule=rule,
        partition_digest=splits.partition.digest, splits_digest=splits.digest,
        counts=role_counts(splits),
        method=method_name(method), method_fields=encode(method), base_digest=shipped.content_digest,
        seconds=seconds, seed=run.seed, threads=torch.get_num_threads(),
    )  # fmt: skip
    return UnlearnedFile(
        content=content, content_digest=file_content_digest(found), provenance=provenance,
        base_file_digest=shipped.file_digest,
        changed_codes_percent=100 * changed, agreement=agreement, agreement_after=agreement_after,
        trace=trace.rows, request=request,
    )  # fmt: skip


def _rebuilt(shipped: Shipped, examples: Examples) -> tuple[Editable, nn.Module, float]:
    """A file, a network rebuilt from it, and the share of samples on which the two answer alike.

    Raises:
        ModelError: when that is too few, or the file cannot be rebuilt.
    """
    try:
        file = editable(shipped.data, shipped.contents)
        network = file.network()
    except ModelError as error:
        raise ModelError(f"{shipped.name}: {error}") from error
    agreement = _agreement(network, shipped.predictor, examples)
    if agreement < LEAST_AGREEMENT:
        raise ModelError(
            f"the network rebuilt from {shipped.name} answers as it does on {100 * agreement:.1f} % of "
            f"{len(examples)} samples; expected {100 * LEAST_AGREEMENT:.0f} % or more, since it would not be the "
            "file's network that forgets"
        )
    return file, network, agreement


def _some_of(examples: Examples) -> Examples:
    """At most `COMPARED` samples, spread evenly."""
    every = max(1, len(examples) // COMPARED)
    return Examples(examples.collection, examples.indices[::every][:COMPARED])


def _agreement(network: nn.Module, file: Predictor, examples: Examples) -> float:
    """The share of samples, 0 to 1, that a network and a file give one class."""
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
        provenance=forgotten.provenance,
    )
    with new_folder(folder, overwrite=overwrite) as draft:
        (draft / forgotten.name).write_bytes(forgotten.content)
        (draft / FILE_RECORD).write_text(FILE_RECORD_DOCUMENT.to_text(record), encoding="utf-8")
        write_trace(draft, forgotten.trace)
        save_request(draft / REQUEST_FILE, forgotten.request)
