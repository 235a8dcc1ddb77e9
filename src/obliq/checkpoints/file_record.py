"""How an exported file was created, in a record next to it.

`shipped.json` is the record of a file that unlearned without its network. `FILE.provenance.json` is the record of a
file that was exported from a saved network, or patched on a device.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from obliq.checkpoints.metadata import Provenance, require_digest
from obliq.errors import ModelError
from obliq.io.documents import DocumentType

FILE_RECORD = "shipped.json"
UNLEARNED_NAME = "network"
"""Name, without its suffix, of the file that the record of that name describes."""
EXPORT_RECORD_SUFFIX = ".provenance.json"


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """What is known of an exported file.

    Attributes:
        file_digest: SHA-256 of its bytes.
        content_digest: SHA-256 of everything that it computes with.
        base_file_digest: SHA-256 of the bytes of the original file.
        changed_codes_percent: weight codes that differ from the original file's.
        agreement_percent: samples to which the original file and the network rebuilt from it give one class.
        agreement_after_percent: the same for the new file and the network that unlearned.
        provenance: how it came about; `base_digest` is the content digest of the original file.
    """

    file_digest: str
    content_digest: str
    base_file_digest: str
    changed_codes_percent: float
    agreement_percent: float
    agreement_after_percent: float
    provenance: Provenance

    def __post_init__(self) -> None:
        for name in ("file_digest", "content_digest", "base_file_digest"):
            require_digest(name, getattr(self, name))


def unlearned_file(folder: Path) -> Path | None:
    """The exported file that `obliq unlearn FILE` wrote into a folder; None in any other folder."""
    if not (folder / FILE_RECORD).is_file():
        return None
    named = sorted(folder.glob(f"{UNLEARNED_NAME}.*"))
    return next((file for file in named if file.suffix != ".json" and file.is_file()), None)


FILE_RECORD_DOCUMENT = DocumentType(
    content=FileRecord, format="obliq-shipped", version=3, oldest=2, title="record", error=ModelError
)
"""Version 2 had the name of the data where version 3 has a label, and how many samples were forgotten."""


@dataclass(frozen=True, kw_only=True)
class ExportRecord:
    """Which network a file holds, without the network: what it was trained on, and the requests that it answers.

    Attributes:
        file_digest: SHA-256 of the file's bytes.
        content_digest: SHA-256 of everything that it computes with.
        network_digest: weights digest of the network that it was exported from; None for a patched file.
        provenance: of that network. It names requests by keyed digests only.
    """

    file_digest: str
    content_digest: str
    network_digest: str | None
    provenance: Provenance

    def __post_init__(self) -> None:
        for name in ("file_digest", "content_digest"):
            require_digest(name, getattr(self, name))
        if self.network_digest is not None:
            require_digest("network_digest", self.network_digest)


EXPORT_RECORD_DOCUMENT = DocumentType(
    content=ExportRecord, format="obliq-exported", version=1, title="record", error=ModelError
)


def export_record_file(file: Path) -> Path:
    """Where the record of an exported file is."""
    return file.with_name(file.name + EXPORT_RECORD_SUFFIX)


def export_record(
    file: Path, data: bytes, content_digest: str, provenance: Provenance, network_digest: str | None = None
) -> dict[Path, str]:
    """The place and the text of the record of an exported file that is about to be written.

    Args:
        file: where the exported file goes.
        data: its bytes.
        content_digest: SHA-256 of everything that it computes with.
        provenance: of the network in it.
        network_digest: weights digest of the saved network that it was exported from; None where there is none.
    """
    record = ExportRecord(
        file_digest=hashlib.sha256(data).hexdigest(),
        content_digest=content_digest,
        network_digest=network_digest,
        provenance=provenance.as_saved(),
    )
    return {export_record_file(file): EXPORT_RECORD_DOCUMENT.to_text(record)}


def read_export_record(file: Path, file_digest: str) -> ExportRecord | None:
    """The record next to an exported file, by its name; None without one, or where it describes other bytes.

    Raises:
        ModelError: naming the record and what is wrong with it.
    """
    record = EXPORT_RECORD_DOCUMENT.read_if_present(export_record_file(file))
    return record if record is not None and record.file_digest == file_digest else None


def provenance_of_file(file: Path, file_digest: str, content_digest: str) -> Provenance | None:
    """What records in the folder of an exported file state about it.

    A copy under another name, and a device's patched copy, compute what the described file does. So a record of equal
    content counts, too, wherever the file's own record does not name the newest request.

    Args:
        file: it must have been read already.
        file_digest: SHA-256 of its bytes.
        content_digest: SHA-256 of everything that it computes with.

    Raises:
        ModelError: for a record with the name of this file's that cannot be read.
    """
    unlearned = FILE_RECORD_DOCUMENT.read_if_present(file.parent / FILE_RECORD)
    if unlearned is not None and unlearned.file_digest == file_digest:
        return unlearned.provenance
    own = read_export_record(file, file_digest)
    if own is not None and own.provenance.records_newest:
        return own.provenance
    return provenance_of_content((file.parent,), content_digest) or (own.provenance if own else None)


def provenance_of_content(folders: Iterable[Path], content_digest: str) -> Provenance | None:
    """What the records of exported files in some folders state about a content; None where none describes it.

    Where several do, that which names most requests: nobody shall count as remaining by mistake.
    """
    found = [one.provenance for one in _records_in(folders) if one.content_digest == content_digest]
    return max(found, key=lambda one: (one.records_newest, len(one.forgotten_so_far)), default=None)


def _records_in(folders: Iterable[Path]) -> Iterator[ExportRecord | FileRecord]:
    """Every record that can be read; files of other programs may have such names."""
    for folder in dict.fromkeys(folders):
        for file in sorted(folder.glob(f"*{EXPORT_RECORD_SUFFIX}")):
            with suppress(ModelError):
                yield EXPORT_RECORD_DOCUMENT.read(file)
        with suppress(ModelError):
            if (record := FILE_RECORD_DOCUMENT.read_if_present(folder / FILE_RECORD)) is not None:
                yield record
