"""The one place that decides which bytes a runtime may see, whoever asks: an audit, a parity check or a caller."""

from obliq.errors import ModelError
from obliq.export.accepting import contents_of
from obliq.export.contents import Contents
from obliq.export.executorch_reading import contents_of_program
from obliq.export.executorch_runtime import is_program
from obliq.export.graph import Graph


def admitted(data: bytes, like: Graph | None = None, *, program: bool | None = None) -> Contents:
    """What a file computes with, once nothing in it is left that a runtime must not see.

    Args:
        data: the file's bytes.
        like: the graph of a network of the same form, without which no program is read.
        program: whether it is meant for ExecuTorch; by default its bytes say so themselves.

    Raises:
        ModelError: when it is neither what `contents_of` nor, for a program, `contents_of_program` accepts.
    """
    if not (is_program(data) if program is None else program):
        return contents_of(data)
    if like is None:
        raise ModelError("an ExecuTorch program does not say what network it is; expected an .onnx file")
    return contents_of_program(data, like)
