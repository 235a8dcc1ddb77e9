"""What a patch is made from and applied to: a saved network or an exported file.

A patched folder has no latent weights, trace or request, since these hold what the old network was trained on.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from obliq.checkpoints import Checkpoint, Provenance, load_checkpoint, present_versions, save_checkpoint
from obliq.checkpoints.file_record import export_record, export_record_file, provenance_of_file
from obliq.errors import ModelError, ObliqError
from obliq.exporting import SUFFIXES, ExportedFile, own_file, parse_exported, patch_file
from obliq.exporting.onnx.contents import LARGEST_FILE
from obliq.io.atomic import refuse_existing_file, refuse_existing_folder, write_files
from obliq.io.regular_file import read_regular_file
from obliq.patch import Content, content_digest, network_content, network_state
from obliq.quantization import float_state, integer_state, load_integer_state


@final
@dataclass(frozen=True)
class Folder:
    """A network saved by `obliq.checkpoints`."""

    checkpoint: Checkpoint

    @property
    def provenance(self) -> Provenance:
        """How it came about."""
        return self.checkpoint.provenance

    @property
    def content(self) -> Content:
        """Its integers and what stays in floating point."""
        return network_content(integer_state(self.checkpoint.model), float_state(self.checkpoint.model))

    def refuse_existing(self, out: Path, *, overwrite: bool) -> None:
        """Raise unless a network of this kind may be written to `out`."""
        refuse_existing_folder(out, overwrite=overwrite)

    def write(self, content: Content, out: Path, *, overwrite: bool) -> None:
        """Write the same network with other integers, whole or not at all, with `patched_provenance`.

        What is written is read back from the network and compared before it appears.
        """
        model = self.checkpoint.model
        integers, floats = network_state(content, integer_state(model), float_state(model))
        patched = Folder(
            Checkpoint(
                load_integer_state(model, integers, floats),
                self.checkpoint.blueprint,
                patched_provenance(self.checkpoint.provenance, content_digest(self.content)),
            )
        )
        if content_digest(patched.content) != content_digest(content):
            raise ModelError(
                "the patched network does not hold the integers that it was given; nothing is written"
            )
        save_checkpoint(out, patched.checkpoint, latent=False, overwrite=overwrite)


@final
@dataclass(frozen=True)
class File:
    """An exported network that our exporter wrote.

    Attributes:
        exported: the file.
        provenance: as a record next to it states it; None without one.
    """

    exported: ExportedFile
    provenance: Provenance | None = None

    @property
    def content(self) -> Content:
        """Everything that the file computes with."""
        return self.exported.content

    def refuse_existing(self, out: Path, *, overwrite: bool) -> None:
        """Raise unless a network of this kind may be written to `out`."""
        for file in (out, export_record_file(out)):
            refuse_existing_file(file, overwrite=overwrite)

    def write(self, content: Content, out: Path, *, overwrite: bool, known: Provenance | None = None) -> None:
        """Write a file of the same form with other integers, whole or not at all, if it can be read again.

        With a record, so that what the old file has forgotten still counts as forgotten.

        Args:
            content: the integers.
            out: a new file.
            overwrite: whether files that exist may be replaced.
            known: provenance of the new file where it is recorded; else `patched_provenance` of the old one's.
        """
        data = patch_file(self.exported, content)
        if known is None and self.provenance is not None:
            known = patched_provenance(self.provenance, self.exported.content_digest)
        record = {} if known is None else export_record(out, data, content_digest(content), known)
        write_files({**record, out: data}, overwrite=overwrite)


Artifact = Folder | File
"""Both kinds of networks that have patches."""


def find_artifact(path: Path, architecture: str | None = None) -> Artifact:
    """Read a model folder or an exported file, the latter as strictly as an audit does.

    Args:
        path: of either.
        architecture: see `obliq.checkpoints.load_checkpoint`.

    Raises:
        ModelError: when there is nothing, or nothing that can be read, naming the file.
    """
    if path.is_dir():
        return Folder(load_checkpoint(path, architecture))
    if path.suffix not in SUFFIXES:
        raise ModelError(
            f"{path} is no folder and no exported file; expected a saved network, or a file in .onnx or .pte"
        )
    try:
        exported = parse_exported(read_regular_file(path, LARGEST_FILE))
        _ = own_file(exported).content
        return File(exported, provenance_of_file(path, exported.file_digest, exported.content_digest))
    except ObliqError as error:
        raise ModelError(f"{path}: {error}") from error


def patched_provenance(base: Provenance, base_digest: str) -> Provenance:
    """The provenance of a patched network: its base is known, but not the request that the patch answers."""
    return replace(
        base,
        role="unlearned",
        base_digest=base_digest,
        splits_digest=None,
        earlier=base.forgotten_so_far,
        parts=(),
        counts={},
        recipe=None,
        method=None,
        method_fields=None,
        seconds=0.0,
        versions=present_versions(),
    )
