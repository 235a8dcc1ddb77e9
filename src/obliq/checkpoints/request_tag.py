"""`request.tag`: a network and the request that it answers, bound by a key that lies outside of their folder.

Whoever can write a folder can replace the ids of a request and compute its digest again, since the salt lies in the
same file. The tag is an HMAC over both files, so that nobody without the key can exchange either of them unnoticed.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from pathlib import Path

from obliq.checkpoints.file_record import FILE_RECORD, FILE_RECORD_DOCUMENT
from obliq.checkpoints.folder import DOCUMENT_FILE
from obliq.checkpoints.metadata import require_digest
from obliq.data.request_file import REQUEST_DOCUMENT, REQUEST_FILE, Request
from obliq.errors import ModelError, ObliqError
from obliq.io.documents import DocumentType
from obliq.io.ownership import digest_of_file, record_file
from obliq.io.regular_file import read_regular_file

TAG_FILE = "request.tag"
_CONTEXT = b"obliq request tag 1\0"
_LARGEST = 2**23  # bytes of model.json or shipped.json, as their readers accept them


@dataclass(frozen=True)
class RequestTag:
    """What request.tag holds.

    Attributes:
        tag: HMAC-SHA-256, in hexadecimal.
    """

    tag: str = field(repr=False)

    def __post_init__(self) -> None:
        require_digest("tag", self.tag)


TAG_DOCUMENT = DocumentType(
    content=RequestTag, format="obliq-request-tag", version=1, title="tag", error=ModelError
)


def bind_request(folder: Path, request: Request, key: bytes) -> None:
    """Write the tag of a network's folder, or of the folder of an exported file with its record.

    Raises:
        ObliqError: when a file cannot be read or written.
    """
    tag = RequestTag(_tag(folder, request, key))
    record_file(folder, TAG_FILE, TAG_DOCUMENT.to_text(tag).encode())
    TAG_DOCUMENT.write(folder / TAG_FILE, tag, overwrite=True)


def require_bound(network: Path, request: Request, key: bytes) -> None:
    """Raise unless a network and a request are those that the holder of a key bound.

    Args:
        network: the folder of a network, or an exported file in a folder with its record.
        request: the request that is audited.
        key: the key.

    Raises:
        ModelError: when there is no tag, or it belongs to another key, network or request.
    """
    folder = network if network.is_dir() else network.parent
    found = TAG_DOCUMENT.read_if_present(folder / TAG_FILE)
    if found is None:
        raise ModelError(
            f"{network} is not authenticated: its folder has no {TAG_FILE}; expected a network that was made with the "
            "same --request-key, or no --request-key"
        )
    bound = REQUEST_DOCUMENT.read_if_present(folder / REQUEST_FILE) or request  # its salt may be its own
    if bound.all_ids != request.all_ids or not hmac.compare_digest(found.tag, _tag(folder, bound, key)):
        raise ModelError(
            f"{network} is not authenticated: its {TAG_FILE} belongs to another key, another request or another "
            "network; expected the key with which it was made, and files that nobody exchanged"
        )
    if network.is_file() and FILE_RECORD_DOCUMENT.read(folder / FILE_RECORD).file_digest != digest_of_file(
        network
    ):
        raise ModelError(
            f"{network} is not authenticated: {FILE_RECORD} is of another file; expected that file"
        )


def _tag(folder: Path, request: Request, key: bytes) -> str:
    """The tag of what a folder holds. Weights are in it by the digest that model.json or shipped.json states."""
    name = DOCUMENT_FILE if (folder / DOCUMENT_FILE).exists() else FILE_RECORD
    try:
        document = read_regular_file(folder / name, _LARGEST)
    except ObliqError as error:
        raise ModelError(f"{folder / name}: {error}") from error
    parts = (document, REQUEST_DOCUMENT.to_text(request).encode())
    message = _CONTEXT + b"".join(hashlib.sha256(part).digest() for part in parts)
    return hmac.new(key, message, hashlib.sha256).hexdigest()
