"""The agreement of a file with its network, as a JSON document that names both by digest."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from obliq.errors import ModelError, ObliqError
from obliq.exporting.onnx.writer import FORMS
from obliq.exporting.parity import Parity
from obliq.io.documents import LARGEST_DOCUMENT
from obliq.io.regular_file import read_regular_file
from obliq.io.strict_json import decode, parse_json, render_json

FORMAT, VERSION = "obliq-parity", 2


@dataclass(frozen=True, kw_only=True)
class ParityRecord:
    """What parity.json holds.

    Attributes:
        format: `obliq-parity`.
        version: of this form.
        form: of the file: `integer`, `compact` or `float`.
        file_digest: SHA-256 of the file.
        file_bytes: its size.
        network_digest: weights digest of the network that was exported.
        deployed_digest: of the network that computes in PyTorch what the file does; the same as
            `network_digest` when that one was exported.
        checks: what was found, by the name of the data.
    """

    format: str = FORMAT
    version: int = VERSION
    form: str
    file_digest: str
    file_bytes: int
    network_digest: str
    deployed_digest: str
    checks: dict[str, Parity]

    def __post_init__(self) -> None:
        if (self.format, self.version) != (FORMAT, VERSION) or self.form not in FORMS:
            raise ModelError(
                f"{self.format!r} of version {self.version}, form {self.form!r}; "
                f"expected {FORMAT!r}, {VERSION} and one of {', '.join(FORMS)}"
            )

    @property
    def audited(self) -> str:
        """Which network an audit of the exported folder speaks of."""
        return "deployed" if self.network_digest == self.deployed_digest else "as trained"


def sha256_of(file: bytes) -> str:
    """SHA-256 of a file's bytes."""
    return hashlib.sha256(file).hexdigest()


def write_parity_record(record: ParityRecord) -> str:
    """The document as text."""
    return render_json(vars(record))


def read_parity_record(file: Path) -> ParityRecord:
    """What `write_parity_record` wrote.

    Raises:
        ModelError: naming the file and what is wrong with it.
    """
    try:
        return decode(ParityRecord, parse_json(read_regular_file(file, LARGEST_DOCUMENT)))
    except ObliqError as error:
        raise ModelError(f"{file}: {error}") from error
