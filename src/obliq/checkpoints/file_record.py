"""`shipped.json`: how an exported file that unlearned was created; it lies next to the file."""

from dataclasses import dataclass

from obliq.checkpoints.metadata import Provenance, require_digest
from obliq.errors import ModelError
from obliq.io.documents import DocumentType

FILE_RECORD = "shipped.json"


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


FILE_RECORD_DOCUMENT = DocumentType(
    content=FileRecord, format="obliq-shipped", version=2, title="record", error=ModelError
)
