"""What devices get after a request: the exported file, its measured parity, and the patch from the old file."""

from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from obliq.checkpoints import Checkpoint, save_checkpoint
from obliq.checkpoints.file_record import export_record
from obliq.errors import ModelError
from obliq.exporting import (
    check,
    export_file,
    parse_exported,
    record_parity,
    write_parity_record,
)
from obliq.exporting.optional import import_onnx, import_onnxruntime
from obliq.io.ownership import FILES_RECORD
from obliq.patch import Content, encode_patch, patch_bound
from obliq.patch import content_digest as content_digest_of
from obliq.quantization import weights_digest
from obliq.report import PatchSize, Shipment
from obliq.workflow.patch_targets import Folder

PATCH = "forget.patch"
FORM = "integer"


@dataclass(frozen=True, kw_only=True)
class Release:
    """The files for devices that were written.

    Attributes:
        shipment: the file and the patch to it, as a report shows them.
        missing: why there is no ONNX file, in one line; empty when there is one.
    """

    shipment: Shipment
    missing: str = ""


def write_release(
    folder: Path,
    original: Checkpoint,
    unlearned: Checkpoint,
    data: str,
    inputs: Float[Tensor, "samples ..."],
) -> Release:
    """Write into a folder what devices need to run an unlearned network instead of the original.

    With the extra `onnx`: `original.onnx` and `unlearned.onnx` with their records, `unlearned.onnx.parity.json`, and
    the patch from the one file to the other. Without it, the folder of the network is what ships: it is written as
    `shipped`, with the patch from the original's folder to it.

    Args:
        folder: exists.
        original: the network on devices.
        unlearned: the network that replaces it.
        data: name of the data set of `inputs`.
        inputs: standardised samples to compare the file's answers on.

    Raises:
        ModelError: when a network cannot be exported.
    """
    try:
        import_onnx()
        import_onnxruntime()
    except ModelError as missing:
        return Release(shipment=_as_folder(folder, original, unlearned), missing=str(missing))
    return Release(shipment=_as_onnx(folder, original, unlearned, data, inputs))


def _as_onnx(
    folder: Path, original: Checkpoint, unlearned: Checkpoint, data: str, inputs: Tensor
) -> Shipment:
    shape = unlearned.blueprint.input_shape
    before, after = (
        export_file(saved.model, shape, FORM, inputs=saved.provenance.inputs)
        for saved in (original, unlearned)
    )
    parity = check(unlearned.model, after, inputs)
    contract = unlearned.provenance.inputs
    record = record_parity(unlearned.model, shape, after, FORM, {data: parity}, contract)
    for name, written, saved in (("original.onnx", before, original), ("unlearned.onnx", after, unlearned)):
        digest = parse_exported(written).content_digest
        origin = export_record(folder / name, written, digest, saved.provenance, weights_digest(saved.model))
        for path, text in origin.items():
            path.write_text(text, encoding="utf-8")
        (folder / name).write_bytes(written)
    (folder / "unlearned.onnx.parity.json").write_text(write_parity_record(record), encoding="utf-8")
    content = parse_exported(after).content
    return Shipment(
        file="unlearned.onnx",
        form=f"{FORM} ONNX file",
        precision=unlearned.blueprint.bits,
        bytes=len(after),
        content_digest=content_digest_of(content),
        parity=parity,
        patch=_patch(folder, parse_exported(before).content, content),
    )


def _as_folder(folder: Path, original: Checkpoint, unlearned: Checkpoint) -> Shipment:
    save_checkpoint(folder / "shipped", unlearned, latent=False)
    content = Folder(unlearned).content
    return Shipment(
        file="shipped",
        form="folder of packed codes (safetensors)",
        precision=unlearned.blueprint.bits,
        bytes=sum(
            file.stat().st_size for file in (folder / "shipped").iterdir() if file.name != FILES_RECORD
        ),
        content_digest=content_digest_of(content),
        patch=_patch(folder, Folder(original).content, content),
    )


def _patch(folder: Path, old: Content, new: Content) -> PatchSize:
    patch, changed = encode_patch(old, new), patch_bound(old, new)
    (folder / PATCH).write_bytes(patch)
    return PatchSize(
        bytes=len(patch),
        codes=changed.codes,
        changed_codes=changed.changed_codes,
        changed_words=changed.changed_words,
    )
