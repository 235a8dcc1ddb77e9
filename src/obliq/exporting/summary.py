"""What is in an exported file: its form, its digests, its operators and its constants."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from obliq.errors import ModelError
from obliq.exporting.exported_file import PROGRAM_SUFFIX
from obliq.exporting.file_content import admitted, file_content_digest
from obliq.exporting.onnx.contents import file_bytes
from obliq.exporting.onnx.reader import onnx_form, stored_weights
from obliq.exporting.parity_record import sha256_of
from obliq.quantization import packed_size

_BITS = {"float32": 32, "int32": 32, "int64": 64, "int8": 8, "uint8": 8, "int4": 4, "int2": 2}


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


def summarise_file(file: Path) -> FileSummary:
    """Read a file as strictly as an audit does, without running it.

    Raises:
        ModelError: in one line that names the file, what was found and what was expected.
    """
    data = file_bytes(file)
    program = file.suffix == PROGRAM_SUFFIX
    try:
        contents = admitted(data, program=program)
        digest = file_content_digest(contents)
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error
    rows = tuple(
        ConstantSummary(
            name=name, kind=contents.kinds[name], shape=values.shape,
            bytes=packed_size(values.size, _BITS[contents.kinds[name]]),
        )
        for name, values in contents.constants.items()
    )  # fmt: skip
    return FileSummary(
        file=str(file),
        format="ExecuTorch" if program else "ONNX",
        form=onnx_form(contents) if contents.own else "qdq",
        input_shape=contents.input_shape,
        bytes=len(data),
        file_digest=sha256_of(data),
        content_digest=digest,
        stored_weights=stored_weights(contents),
        operators=dict(Counter(node.operator for node in contents.nodes).most_common()),
        rows=rows,
    )
