"""The one place that decides which bytes a runtime may see, whoever asks: an audit, a parity check or a caller."""

from obliq.export.accepting import contents_of
from obliq.export.contents import Contents
from obliq.export.executorch_reading import contents_of_program
from obliq.export.executorch_runtime import is_program


def admitted(data: bytes, *, program: bool | None = None) -> Contents:
    """What a file computes with, once nothing in it is left that a runtime must not see.

    Args:
        data: the file's bytes.
        program: whether it is meant for ExecuTorch; by default its bytes say so themselves.

    Raises:
        ModelError: when it is neither what `contents_of` nor, for a program, `contents_of_program` accepts.
    """
    read = contents_of_program if (is_program(data) if program is None else program) else contents_of
    return read(data)
