"""Integers in, integers out: unlearning where only the exported file of a network is left.

The file says nothing about data, so the caller says which samples it was trained on; whether that is true
cannot be checked. The result is a folder:

    network.onnx    the file's graph, byte for byte but for codes and biases of its layers
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

from obliq import made, request_file
from obliq.atomic import new_folder
from obliq.checkpoints import Provenance
from obliq.data import Partition, Splits
from obliq.documents import encode, render
from obliq.erase import method_name
from obliq.errors import DataError, ModelError
from obliq.export import Shipped, contents_of, digest_of, graph_in, to_onnx
from obliq.export.identity import content_digest
from obliq.export.rebuilding import rebuilt, with_weights_of
from obliq.methods import Method, OrthogonalEntropy
from obliq.request_file import Request
from obliq.run import Row, Run, Trace, together

NETWORK, RECORD = "network.onnx", "shipped.json"
FORMAT, VERSION = "obliq-shipped", 2


@dataclass(frozen=True, kw_only=True)
class ForgottenFile:
    """What came out.

    Attributes:
        content: bytes of the new file.
        provenance: how it was made; `base_digest` is the content digest of the file that it came from.
        base_file_digest: SHA-256 of that file.
        changed_codes_percent: weight codes that differ from it.
        trace: rows of the run.
        request: what was to be forgotten.
    """

    content: bytes = field(repr=False)
    provenance: Provenance
    base_file_digest: str
    changed_codes_percent: float
    trace: Sequence[Row] = field(repr=False)
    request: Request


def forget_in_file(
    shipped: Shipped, splits: Splits, request: Request, method: Method, run: Run
) -> ForgottenFile:
    """Make the network in a file forget, on the grid that the file has.

    Args:
        shipped: a file of the `integer` or `compact` form.
        splits: the request's.
        request: what is to be forgotten.
        method: orthogonal entropy unlearning with `steps="frozen"`; other methods move scales, which
            devices would have to take over too.
        run: seed, device, listener.

    Raises:
        ModelError: for other forms, other methods, and a result that no device could run.
        DataError: when the samples do not fit the file.
    """
    if not isinstance(method, OrthogonalEntropy) or method.steps != "frozen":
        raise ModelError(
            f"{method_name(method)} moves the scales of a file; expected oeu with steps frozen, which keeps them"
        )
    require_fitting(shipped, splits.partition)
    graph = graph_in(shipped.contents)
    forms = (form for form in ("integer", "compact"))
    same = (
        form for form in forms if content_digest(contents_of(to_onnx(graph, form))) == shipped.content_digest
    )
    form = next(same, None)
    if form is None:
        raise ModelError(
            f"{shipped.name} would not be written again as it is; expected a file of `obliq export`"
        )
    trace, started = Trace(), time.perf_counter()
    listening = dataclasses.replace(run, listen=together(run.listen, trace))
    network = method.unlearn(rebuilt(graph), splits, listening)
    after = with_weights_of(graph, network.cpu())
    content = to_onnx(after, form)
    found = contents_of(content)  # what no device could run is not written
    changed = dataclasses.replace(shipped, contents=found).changed_codes(graph)
    assert changed is not None
    rule = splits.partition.rule
    provenance = Provenance(
        role="unlearned", data=splits.partition.collection.name, rule=rule,
        partition_digest=splits.partition.digest, splits_digest=splits.digest,
        counts={name: len(getattr(splits, name)) for name in ("forget", "retain", "holdout", "test")},
        method=method_name(method), method_fields=encode(method), base_digest=shipped.content_digest,
        seconds=time.perf_counter() - started, seed=run.seed, threads=torch.get_num_threads(),
    )  # fmt: skip
    return ForgottenFile(
        content=content, provenance=provenance, base_file_digest=shipped.file_digest,
        changed_codes_percent=100 * changed, trace=trace.rows, request=request,
    )  # fmt: skip


def require_fitting(shipped: Shipped, parts: Partition) -> None:
    """Raise unless a file takes the samples of a data set and tells as many classes apart.

    Raises:
        DataError: saying which of the two does not fit.
    """
    wanted, given = shipped.contents.input_shape, parts.collection.sample_shape
    if given != wanted:
        raise DataError(
            f"{parts.collection.name} has samples of shape {given}; {shipped.name} expects {wanted}"
        )
    sample = parts.collection.fetch(parts.test.indices[:1])
    classes = shipped.predictor.predict(sample).shape[1]
    if classes != parts.collection.classes:
        raise DataError(
            f"{parts.collection.name} has {parts.collection.classes} classes; {shipped.name} tells {classes} apart"
        )


def keep_file(folder: Path, forgotten: ForgottenFile, *, overwrite: bool = False) -> None:
    """Write everything into a new folder that appears when it is complete.

    Raises:
        ObliqError: when the folder exists or cannot be written.
    """
    record = {
        "format": FORMAT,
        "version": VERSION,
        "file_digest": digest_of(forgotten.content),
        "content_digest": content_digest(contents_of(forgotten.content)),
        "base_file_digest": forgotten.base_file_digest,
        "changed_codes_percent": forgotten.changed_codes_percent,
        "provenance": forgotten.provenance,
    }
    rows = {"format": made.FORMAT, "version": made.VERSION, "rows": list(forgotten.trace)}
    with new_folder(folder, overwrite=overwrite) as draft:
        (draft / NETWORK).write_bytes(forgotten.content)
        (draft / RECORD).write_text(render(record), encoding="utf-8")
        (draft / made.TRACE).write_text(render(rows), encoding="utf-8")
        request_file.save(draft / request_file.FILE, forgotten.request)
