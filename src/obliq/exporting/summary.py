"""What is in an exported file: its form, its digests, its operators and its constants."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from obliq.data.input_contract import InputContract
from obliq.errors import ModelError
from obliq.exporting.files import read_exported
from obliq.exporting.onnx.contents import STORED_BITS
from obliq.quantization import packed_size


@dataclass(frozen=True, kw_only=True)
class ConstantSummary:
    """One stored constant.

    Attributes:
        name: in the file.
        kind: its stored type, for instance `int4`.
        shape: of the values; empty for a single one.
        bytes: what the values take.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    bytes: int


@dataclass(frozen=True, kw_only=True)
class FileSummary:
    """An exported file on one page.

    Attributes:
        file: its path.
        format: ONNX or ExecuTorch.
        form: `integer`, `compact` or `float`; `qdq` for a file of another quantizer.
        input_shape: of one sample, channels first.
        bytes: its size.
        file_digest: SHA-256 of its bytes.
        content_digest: SHA-256 of everything that it computes with, whatever the format.
        stored_weights: the narrowest type that weights are stored in.
        operators: how often each occurs. Those of a program are those of the ONNX file that computes the same.
        rows: the constants in the order of the file.
        inputs: how stored values become inputs, where the file states it.
    """

    file: str
    format: str
    form: str
    input_shape: tuple[int, ...]
    bytes: int
    file_digest: str
    content_digest: str
    stored_weights: str
    operators: dict[str, int]
    rows: tuple[ConstantSummary, ...]
    inputs: InputContract | None


def summarise_file(file: Path) -> FileSummary:
    """Read a file as strictly as an audit does, without running it.

    Raises:
        ModelError: in one line that names the file, what was found and what was expected.
    """
    read = read_exported(file)
    try:
        digest = read.content_digest
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error
    kinds, constants = read.contents.kinds, read.contents.constants
    rows = tuple(
        ConstantSummary(
            name=name,
            kind=kinds[name],
            shape=values.shape,
            bytes=packed_size(values.size, STORED_BITS[kinds[name]]),
        )
        for name, values in constants.items()
    )
    return FileSummary(
        file=str(file),
        format=read.title,
        form=read.form,
        input_shape=read.contents.input_shape,
        bytes=len(read.data),
        file_digest=read.file_digest,
        content_digest=digest,
        stored_weights=read.stored_weights,
        operators=dict(Counter(node.operator for node in read.contents.nodes).most_common()),
        rows=rows,
        inputs=read.contents.inputs,
    )
