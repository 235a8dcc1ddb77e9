"""The agreement of a file with its network, as a JSON document that names both by digest."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from obliq.data.input_contract import InputContract
from obliq.errors import ModelError
from obliq.exporting.device_biases import deployed
from obliq.exporting.exported_file import sha256_of
from obliq.exporting.onnx.writer import FORMS
from obliq.exporting.parity import Parity
from obliq.io.documents import DocumentType
from obliq.io.strict_json import OMITTED_BY_DEFAULT
from obliq.quantization import weights_digest


@dataclass(frozen=True, kw_only=True)
class ParityRecord:
    """What parity.json holds.

    Attributes:
        form: of the file: `integer`, `compact` or `float`.
        file_digest: SHA-256 of the file.
        file_bytes: its size.
        network_digest: weights digest of the network that was exported.
        deployed_digest: of the network that computes in PyTorch what the file does; the same as
            `network_digest` when that one was exported.
        checks: what was found, by the name of the data.
        inputs: how stored values become inputs of the file, and what its outputs are; None where this is not recorded.
    """

    form: str
    file_digest: str
    file_bytes: int
    network_digest: str
    deployed_digest: str
    checks: dict[str, Parity]
    inputs: InputContract | None = field(default=None, metadata=OMITTED_BY_DEFAULT)

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise ModelError(f"form is {self.form[:80]!r}; expected one of {', '.join(FORMS)}")

    @property
    def audited(self) -> str:
        """Which network an audit of the exported folder speaks of."""
        return "deployed" if self.network_digest == self.deployed_digest else "as trained"


PARITY_DOCUMENT = DocumentType(
    content=ParityRecord, format="obliq-parity", version=2, title="parity", error=ModelError
)


def record_parity(
    model: nn.Module,
    input_shape: Sequence[int],
    content: bytes,
    form: str,
    checks: dict[str, Parity],
    inputs: InputContract | None,
) -> ParityRecord:
    """Name a file and the network that it was exported from by digest, with what was measured on it.

    Args:
        model: the network that was exported.
        input_shape: of one input, without the batch.
        content: the file's bytes.
        form: of the file.
        checks: what was found, by the name of the data.
        inputs: the network's input contract, where it is recorded.
    """
    return ParityRecord(
        form=form,
        file_digest=sha256_of(content),
        file_bytes=len(content),
        network_digest=weights_digest(model),
        deployed_digest=weights_digest(deployed(model, input_shape)),
        checks=checks,
        inputs=inputs,
    )


def write_parity_record(record: ParityRecord) -> str:
    """The record as the text of parity.json."""
    return PARITY_DOCUMENT.to_text(record)


def read_parity_record(file: Path) -> ParityRecord:
    """The record in a file.

    Raises:
        ModelError: naming the file and what is wrong with it.
    """
    return PARITY_DOCUMENT.read(file)
