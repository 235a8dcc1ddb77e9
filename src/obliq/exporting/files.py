"""Files of any format: written from a network, read, and patched."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from obliq.data.input_contract import InputContract
from obliq.errors import ModelError, ObliqError, PatchError
from obliq.exporting.c.file import CFile
from obliq.exporting.executorch.file import ExecuTorchFile
from obliq.exporting.exported_file import ExportedFile, OwnFile
from obliq.exporting.from_network import graph_of
from obliq.exporting.onnx.contents import LARGEST_FILE
from obliq.exporting.onnx.file import OnnxFile
from obliq.exporting.qdq.file import QdqFile
from obliq.io.regular_file import read_regular_file
from obliq.patch import Content, content_digest

FORMATS: tuple[type[ExportedFile], ...] = (CFile, ExecuTorchFile, QdqFile, OnnxFile)
"""The first one that recognises a file reads it."""

SUFFIXES = tuple(sorted({one.suffix for one in FORMATS}))


def parse_exported(data: bytes, name: str = "", suffix: str = "") -> ExportedFile:
    """The file in these bytes, checked in full; no runtime has seen it.

    Args:
        data: the bytes.
        name: of the file.
        suffix: of its name; only formats with it are considered, if there is one.

    Raises:
        ModelError: in one line: what was found and what was expected.
    """
    kinds = [one for one in FORMATS if one.suffix == suffix] or FORMATS
    kind = next((one for one in kinds if one.recognises(data)), kinds[-1])
    return kind(data=data, contents=kind.read(data), name=name)


def digest_stated_in(data: bytes) -> str | None:
    """The content digest that bytes state, where their format is not read; nothing checks it. None otherwise."""
    return next((one.stated_digest(data) for one in FORMATS if one.recognises(data)), None)


def read_exported(file: Path) -> ExportedFile:
    """Read and check a file that our exporter or another quantizer wrote; no runtime sees it.

    Args:
        file: one regular file, no link, of at most `LARGEST_FILE` bytes.

    Raises:
        ModelError: in one line that names the file, what was found and what was expected.
    """
    try:
        return parse_exported(read_regular_file(file, LARGEST_FILE), file.name, file.suffix)
    except ObliqError as error:
        raise ModelError(f"{file}: {error}") from error


def open_exported(file: Path, runtime: str = "own", *, threads: int = 1) -> ExportedFile:
    """The same, with a runtime started on the very bytes that were checked.

    Args:
        file: see `read_exported`.
        runtime: `own`, its name (`onnxruntime`, `executorch`), or `interpreter`, which takes no file of floats.
        threads: how many ONNX Runtime or ExecuTorch may use.

    Raises:
        ModelError: in one line that names the file, what was found and what was expected.
    """
    opened = replace(read_exported(file), runtime=runtime, threads=threads)
    try:
        _ = opened.content_digest, opened.predictor
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error
    return opened


def export_file(
    model: nn.Module,
    input_shape: Sequence[int],
    form: str = "integer",
    *,
    to: str = "onnx",
    inputs: InputContract | None = None,
) -> bytes:
    """The bytes of a file; the same network gives the same bytes.

    Args:
        model: quantized with the `deploy` preset and calibrated.
        input_shape: of one sample, channels first.
        form: `integer`, or for ONNX also `compact` or `float`; see `to_onnx`.
        to: the name of a format, `onnx`, `executorch` or `c`, or the suffix of its files.
        inputs: how stored values become inputs; an ONNX file states it in its metadata, a C file in a comment.

    Raises:
        ModelError: naming the layer that cannot be exported, when an extra is missing, or when the file does not
            hold the network's integers.
    """
    kind, graph = format_named(to), graph_of(model, input_shape)
    if form not in kind.forms:
        raise ModelError(f"form is {form!r}; expected {', '.join(kind.forms)}")
    written = kind.write(graph, form, inputs)
    kind.verify(written, graph)
    return written


def format_named(name: str) -> type[OwnFile]:
    """The format of this name or suffix, in which files are written.

    Raises:
        ModelError: when there is none.
    """
    formats = [one for one in FORMATS if issubclass(one, OwnFile)]
    for one in formats:
        if name in (one.format, one.suffix):
            return one
    raise ModelError(
        f"format {name!r}; expected {' or '.join(f'{one.format} ({one.suffix})' for one in formats)}"
    )


def own_file(file: ExportedFile) -> OwnFile:
    """A file that our exporter wrote.

    Raises:
        ModelError: when another quantizer wrote it.
    """
    if not isinstance(file, OwnFile):
        raise ModelError("a file of another quantizer; expected one that our exporter wrote")
    return file


def patch_file(file: ExportedFile, content: Content) -> bytes:
    """A file of the same kind and form with other numbers: the bytes of a new export.

    What was written is read again as strictly as the file was, so that no patch makes a file that a runtime must not
    see.

    Raises:
        ModelError: for a file of another quantizer, or when an extra is missing.
        PatchError: when the content is of another form, or has values that no exported file has.
    """
    own = own_file(file)
    try:
        written = parse_exported(own.with_content(content))
        found = written.content_digest
    except ModelError as error:
        raise PatchError(f"it leads to a file that would be refused: {error}") from error
    if found != content_digest(content):
        raise PatchError("what was written reads as another network; nothing is kept")
    return written.data
