"""Originals that lie near a network or a file which the user named, so that the next command can name them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from obliq.checkpoints import Provenance
from obliq.checkpoints.file_record import (
    FILE_RECORD,
    FILE_RECORD_DOCUMENT,
    export_record_file,
    read_export_record,
)
from obliq.checkpoints.folder import DOCUMENT_FILE, NETWORK_DOCUMENT, NetworkDocument
from obliq.errors import ObliqError
from obliq.exporting import SUFFIXES
from obliq.io.ownership import digest_of_file
from obliq.workflow.known_originals import read_network_document


@dataclass(frozen=True)
class NearbyOriginal:
    """The folder of a network before all requests.

    Attributes:
        folder: where it is.
        provenance: how the network came about.
        architecture: the user's own code that builds it, as module:function; None for a built-in network.
    """

    folder: Path
    provenance: Provenance
    architecture: str | None = None

    @classmethod
    def of(cls, folder: Path) -> "NearbyOriginal":
        """What a folder of an original states.

        Raises:
            ModelError: for a folder without a network.
        """
        return cls._from(folder, NETWORK_DOCUMENT.read(folder / DOCUMENT_FILE))

    @classmethod
    def _from(cls, folder: Path, document: NetworkDocument) -> "NearbyOriginal":
        blueprint = document.blueprint
        return cls(folder, document.provenance, blueprint.architecture if blueprint.is_user_code else None)


def original_of(folder: Path, provenance: Provenance) -> NearbyOriginal | None:
    """The network before all requests: the one in a folder, or one in a folder next to it; None where it is elsewhere.

    Args:
        folder: of a network.
        provenance: of that network.
    """
    if provenance.role == "original":
        return NearbyOriginal.of(folder)
    return _with_digest(provenance.original_digest, folder.parent.glob(f"*/{DOCUMENT_FILE}"))


def original_of_file(file: Path) -> NearbyOriginal | None:
    """The folder of the original from which a file was exported, at most two levels below the folder of the file.

    Only a record next to the file shows which network that is.

    Args:
        file: an exported file, also one that was unlearned since.
    """
    try:
        record = read_export_record(file, digest_of_file(file))
    except (ObliqError, OSError):  # the verb that reads the file names what is wrong with it
        return None
    if record is None:
        return None
    digest = (
        record.network_digest if record.provenance.role == "original" else record.provenance.original_digest
    )
    below = (found for level in ("*", "*/*") for found in file.parent.glob(f"{level}/{DOCUMENT_FILE}"))
    return _with_digest(digest, below)


def file_before(file: Path) -> Path | None:
    """The exported file that another one was unlearned from, in the folder above it or in the working folder."""
    try:
        record = FILE_RECORD_DOCUMENT.read_if_present(file.parent / FILE_RECORD)
    except ObliqError:
        return None
    if record is None:
        return None
    for folder in (file.parent.parent, Path()):
        for near in sorted(folder.iterdir()):
            if near.suffix in SUFFIXES and near.is_file() and digest_of_file(near) == record.base_file_digest:
                return near
    return None


def exported_file(near: Path, original: str, *, of_original: bool) -> Path | None:
    """An exported file next to another one or in the working folder, of an original or of a network made from it.

    Args:
        near: the other file.
        original: the weights digest of the original.
        of_original: whether the file is that of the original itself.
    """
    for folder in (near.parent, Path()):
        for file in sorted(folder.iterdir()):
            # a file without a record need not be read
            if file.suffix != near.suffix or file.name == near.name or not export_record_file(file).is_file():
                continue
            try:
                record = read_export_record(file, digest_of_file(file))
            except (ObliqError, OSError):  # somebody else's file
                continue
            if record is None or (record.provenance.role == "original") != of_original:
                continue
            if original == (record.network_digest if of_original else record.provenance.original_digest):
                return file
    return None


def _with_digest(digest: str | None, documents: Iterable[Path]) -> NearbyOriginal | None:
    for file in sorted(documents) if digest is not None else ():
        found = read_network_document(file)
        if found is not None and found.weights_digest == digest:
            return NearbyOriginal._from(file.parent, found)
    return None
