"""The strict reader: an ONNX file that our exporter or a known quantizer wrote, checked before a runtime sees it."""

from pathlib import Path

from obliq.errors import ModelError
from obliq.export.contents import LARGEST_FILE, Contents, file_bytes, parsed
from obliq.export.following import followed
from obliq.export.foreign import foreign_contents, is_foreign
from obliq.export.rules import RULES


def read_onnx(file: Path) -> Contents:
    """An ONNX file that our exporter or a quantizer of `foreign.PRODUCERS` made, read and checked in full.

    One regular file, no link, no external data, only the operators of an allow-list in the standard domain;
    names, types, shapes, scales, zero points, packed sizes and sums are checked before a runtime sees it.

    Raises:
        ModelError: in one line that names the file, what was found and what was expected.
    """
    try:
        return contents_of(file_bytes(file))
    except ModelError as error:
        text = str(error)
        raise ModelError(text if text.startswith(f"{file}: ") else f"{file}: {text}") from error


def contents_of(data: bytes) -> Contents:
    """The same for a file's bytes.

    Raises:
        ModelError: as `read_onnx`, without a file's name.
    """
    if len(data) > LARGEST_FILE:
        raise ModelError(f"{len(data)} bytes; expected at most {LARGEST_FILE}")
    if is_foreign(data):
        return foreign_contents(data)
    contents = parsed(data)
    followed(contents, RULES)
    return contents
