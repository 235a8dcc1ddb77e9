"""Arrays of bytes in MATLAB files of version 5, read here because SciPy's reader can crash Python on a damaged file.

A file is a header of 128 bytes and a row of elements, each a tag (type and bytes that follow) and its data. An element
that is compressed holds one other element. A matrix is an element of elements: flags, dimensions, name, numbers.
Source: MathWorks, "MAT-File Format" (level 5).
"""

import itertools
import math
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from obliq.errors import DataError
from obliq.io.budget import Budget

_HEADER = 128
_INT8, _UINT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 2, 5, 6, 14, 15  # types of elements
_BYTES = 9  # class of a matrix of uint8
_LARGEST_RANK = 8
_MOST_ELEMENTS = 100  # of a file; SVHN's have two

Element = tuple[int, memoryview]
"""The type of an element, and its data."""


def read_byte_arrays(file: str, content: bytes, budget: Budget) -> dict[str, npt.NDArray[np.uint8]]:
    """The matrices of bytes in a file, by name, in the order of their columns as the file has them.

    Matrices of other numbers and other elements are left out.

    Args:
        file: its name, for errors.
        content: of the file.
        budget: of all the files that belong together.

    Raises:
        DataError: for another version, a damaged file, and one whose size does not explain its content.
    """
    if (
        len(content) < _HEADER or content[124:128] != b"\0\1IM"
    ):  # version 1.0, numbers with the low byte first
        raise DataError(f"{file} is no MATLAB file of version 5; expected the original file")
    found = {}
    try:
        for number, (kind, data) in enumerate(_elements(memoryview(content)[_HEADER:])):
            if number == _MOST_ELEMENTS:
                raise DataError(
                    f"{file} has more than {_MOST_ELEMENTS} variables; expected the original file"
                )
            if kind == _COMPRESSED:
                kind, data = _unpacked(file, data, budget)
            if kind == _MATRIX and (matrix := _matrix(data)) is not None:
                name, array = matrix
                budget.spend(f"{file}: {name}", memory=2 * array.size)  # in the order of rows, and joined
                found[name] = array
    except (ValueError, struct.error, zlib.error) as error:
        raise DataError(f"{file} is damaged ({error}); expected the original file") from error
    return found


def _elements(data: memoryview) -> Iterator[Element]:
    """The elements that follow one another.

    Raises:
        ValueError: for one that is longer than what is left.
    """
    while len(data):
        kind, size = struct.unpack_from("<II", data)
        start = 8
        if kind >> 16:  # a short one: type and size share four bytes, and the data are the other four
            kind, size, start = kind & 0xFFFF, kind >> 16, 4
        if start + size > len(data) or (start == 4 and size > 4):
            raise ValueError("an element is cut off")
        yield kind, data[start : start + size]
        padded = 8 if start == 4 else start + size + (0 if kind == _COMPRESSED else -size % 8)
        data = data[padded:]


def _unpacked(file: str, data: memoryview, budget: Budget) -> Element:
    """The one element that a compressed one holds.

    Raises:
        ValueError: for another size than it states.
    """
    packed = zlib.decompressobj()
    kind, size = struct.unpack("<II", packed.decompress(data, 8))
    budget.spend(f"{file}: an element of {len(data):,} bytes, unpacked,", memory=size, work=2 * size)
    inner = packed.decompress(packed.unconsumed_tail, size + 1)
    if len(inner) != size:
        raise ValueError("an element has another size than it states")
    return kind, memoryview(inner)


def _matrix(data: memoryview) -> tuple[str, npt.NDArray[np.uint8]] | None:
    """Name and numbers of a matrix of bytes; None for one of another kind.

    Raises:
        ValueError: for parts that are missing, of another type or of another size.
    """
    parts = list(itertools.islice(_elements(data), 5))  # one more than there may be
    if not parts or parts[0][0] != _UINT32 or len(parts[0][1]) != 8:
        raise ValueError("a matrix without flags")
    if parts[0][1][0] != _BYTES:
        return None
    if [kind for kind, _ in parts[1:]] != [_INT32, _INT8, _UINT8]:
        raise ValueError("a matrix whose parts are not dimensions, name and bytes")
    (_, dimensions), (_, name), (_, numbers) = parts[1:]
    if len(dimensions) % 4 or not 8 <= len(dimensions) <= 4 * _LARGEST_RANK:
        raise ValueError("a matrix with too few or too many dimensions")
    shape = struct.unpack(f"<{len(dimensions) // 4}i", dimensions)
    if min(shape) < 0 or math.prod(shape) != len(numbers):
        raise ValueError(f"a matrix of shape {shape} with {len(numbers):,} bytes")
    return bytes(name).decode("ascii"), np.frombuffer(numbers, np.uint8).reshape(shape, order="F")
