"""The IDX format of the MNIST family: a short header, then numbers, big end first."""

import gzip
import io
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from obliq.errors import DataError

_TYPES: dict[int, np.dtype[Any]] = {0x08: np.dtype(">u1"), 0x0C: np.dtype(">i4")}
_LARGEST = 2**30  # bytes; the largest of the family has 0.2 GiB, and a forged header must not fill memory


def find(folder: Path, name: str) -> Path | None:
    """The file of this name in `folder`, plain or as .gz."""
    return next((file for file in (folder / name, folder / f"{name}.gz") if file.is_file()), None)


def read(file: Path, dimensions: int) -> Shaped[Tensor, "samples ..."]:
    """Read an IDX file, compressed when its name ends in .gz.

    Args:
        file: where it is.
        dimensions: how many it must have.

    Returns:
        uint8 or int32, shaped as the header says.

    Raises:
        DataError: for another format, another number of dimensions, or a file that is cut off or too long.
    """
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as opened:
            return _read(opened, file, dimensions)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {file}: {error}") from error


def _read(opened: io.BufferedIOBase, file: Path, dimensions: int) -> Tensor:
    magic = opened.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES:
        raise DataError(f"{file} is not an IDX file of bytes or 32-bit integers; expected the original file")
    if magic[3] != dimensions:
        raise DataError(f"{file} has {magic[3]} dimensions; expected {dimensions}")
    header = opened.read(4 * dimensions)
    if len(header) < 4 * dimensions:
        raise DataError(f"{file} is cut off in its header; expected the original file")
    kind = _TYPES[magic[2]]
    shape = [int(size) for size in np.frombuffer(header, dtype=">u4")]
    size = math.prod(shape) * kind.itemsize
    if size > _LARGEST:
        raise DataError(f"{file} claims to hold {size} bytes; expected at most {_LARGEST}")
    content = opened.read(size + 1)
    if len(content) != size:
        found = "more" if len(content) > size else str(len(content))
        raise DataError(f"{file} holds {found} bytes of numbers; expected {size} for shape {tuple(shape)}")
    return torch.from_numpy(np.frombuffer(content, kind).reshape(shape).astype(kind.newbyteorder("=")))
