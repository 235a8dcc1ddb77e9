"""`shipped.json`: how a file that unlearned was made, beside it in its folder."""

from dataclasses import dataclass
from pathlib import Path

from obliq.checkpoints import Provenance
from obliq.checkpoints.metadata import require_digest
from obliq.errors import ModelError, ObliqError
from obliq.io.json_documents import LARGEST_DOCUMENT, decode, encode, parse_json, read_bytes, render_json

RECORD = "shipped.json"
FORMAT, VERSION = "obliq-shipped", 2


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """What is known of a file.

    Attributes:
        file_digest: SHA-256 of its bytes.
        content_digest: SHA-256 of everything that it computes with.
        base_file_digest: the first of the two, of the file that it was made from.
        changed_codes_percent: weight codes that differ from that file's.
        agreement_percent: samples on which the network that was rebuilt from that file answered as it did.
        agreement_after_percent: the same for the network that unlearned and the new file.
        provenance: how it was made; `base_digest` is the content digest of the file that it was made from.
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


def written(record: FileRecord) -> str:
    """The record as JSON."""
    return render_json({"format": FORMAT, "version": VERSION, **encode(record)})


def read(file: Path) -> FileRecord:
    """The record that `written` gave.

    Raises:
        ModelError: naming the file and what is wrong with it.
    """
    try:
        values = parse_json(read_bytes(file, LARGEST_DOCUMENT))
        form = values.pop("format", None), values.pop("version", None)
        if form != (FORMAT, VERSION):
            raise ObliqError(f"not a record; expected format {FORMAT!r} of version {VERSION}")
        return decode(FileRecord, values, "the record")
    except ObliqError as error:
        raise ModelError(f"{file}: {error}") from error
