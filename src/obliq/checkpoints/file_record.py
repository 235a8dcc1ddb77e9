"""`shipped.json`: how an exported file that unlearned was created; it lies next to the file."""

from dataclasses import dataclass

from obliq.checkpoints.metadata import Provenance, require_digest
from obliq.errors import ModelError
from obliq.io.documents import DocumentType

FILE_RECORD = "shipped.json"


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


FILE_RECORD_DOCUMENT = DocumentType(
    content=FileRecord, format="obliq-shipped", version=3, oldest=2, title="record", error=ModelError
)
"""Version 2 had the name of the data where version 3 has a label, and how many samples were forgotten."""
