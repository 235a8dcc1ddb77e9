"""Arrays in .npz files, checked in both of their headers before they are unpacked."""

import contextlib
import math
import sys
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib import format as npy

from obliq.errors import DataError, ObliqError
from obliq.io.archive import open_archive
from obliq.io.budget import Budget
from obliq.io.isolated.job import LARGEST_RANK, Found, Given, RawArray

NUMBERS = "x"
"""The array that may hold no names."""

_HEADER = 4096  # bytes allowed for the description of an array
_LONGEST_NAME = 256  # letters of a label, a subject or an id
_LONGEST_ENTRY = 1000  # letters of the name of an entry that is listed
_OF_NAME = 200  # bytes of a name as a text, in the lists and sets that it goes through


def read_entries(given: Given) -> Found:
    """What an archive holds.

    The argument is `wanted`, names of arrays. The facts are `held` (those of them that are there), `first` (the names
    of the first eight arrays of any name) and `unpacked` (bytes of all entries).

    Raises:
        ObliqError: for a damaged archive.
    """
    with _archive(given) as archive:
        arrays = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        there = set(arrays)
        return Found(
            facts={
                "held": [name for name in given.arguments["wanted"] if name in there],
                "first": [name[:_LONGEST_ENTRY] for name in arrays[:8]],
                "unpacked": sum(entry.file_size for entry in archive.infolist()),
            }
        )


def read_array(given: Given) -> Found:
    """One array.

    The arguments are `name` (of the file, in errors), `key` (the array's name) and `largest` (bytes that it may unpack
    to).

    Raises:
        DataError: for an array of objects, of another type than numbers or names, too large, or of another size
            than it claims.
        ObliqError: for a damaged archive.
    """
    name, key, largest = (given.arguments[one] for one in ("name", "key", "largest"))
    with _archive(given) as archive:
        return Found([_array(name, archive, key, largest, given.budget)])


@contextlib.contextmanager
def _archive(given: Given) -> Iterator[zipfile.ZipFile]:
    assert given.opened is not None
    try:
        with open_archive(given.opened, ".npz", "numpy.savez's") as archive:
            yield archive
    except OSError as error:
        raise ObliqError(f"cannot be read: {error.strerror or error}; expected a regular file") from error


def _array(name: str, archive: zipfile.ZipFile, key: str, largest: int, budget: Budget) -> RawArray:
    entry = archive.getinfo(f"{key}.npy")
    if entry.file_size > largest:
        raise DataError(f"{name}: {key} unpacks to {entry.file_size:,} bytes; expected at most {largest:,}")
    slow = entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    what = f"{name}: {key}, which is packed to {entry.compress_size:,} bytes,"
    budget.spend(what, memory=entry.file_size, work=(20 if slow else 2) * entry.file_size)
    shape, kind, described = _described(name, key, archive)
    if kind.hasobject:
        raise DataError(f"{name}: {key} is an array of Python objects; expected plain numbers")
    names = kind.kind == "U" and key != NUMBERS and kind.itemsize <= 4 * _LONGEST_NAME
    if not names and (kind.kind not in "fiu" or kind.itemsize > 8):
        raise DataError(
            f"{name}: {key} has type {kind}; expected numbers of at most 64 bits"
            + (f", or names of at most {_LONGEST_NAME} letters" if key != NUMBERS else "")
        )
    if math.prod(shape) * kind.itemsize != entry.file_size - described:
        raise DataError(
            f"{name}: {key} claims shape {shape} but holds {entry.file_size - described:,} bytes; "
            f"expected {math.prod(shape) * kind.itemsize}"
        )
    if kind != np.uint8:  # a copy in another type follows, or a text for each name
        each = _OF_NAME if names else kind.itemsize
        budget.spend(f"{name}: {key}", memory=each * math.prod(shape), work=math.prod(shape))
    with archive.open(entry) as opened:
        array = npy.read_array(opened, allow_pickle=False, max_header_size=_HEADER)
    array = np.ascontiguousarray(array)
    if names and array.size and kind.itemsize:
        letter = array.reshape(-1).view(kind.str[0] + "u4").max()
        if letter > sys.maxunicode:  # of which NumPy would make texts that Python does not expect
            raise ValueError(f"letter {letter:#x}, which does not exist")
    return RawArray(array.dtype.str, shape, array.reshape(-1).view(np.uint8).data)


def _described(name: str, key: str, archive: zipfile.ZipFile) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape, type and length of the header of an array file."""
    with archive.open(f"{key}.npy") as opened:
        version = npy.read_magic(opened)
        readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
        if version not in readers:
            raise DataError(f"{name}: {key} is in array format {version}; expected 1.0 or 2.0")
        shape, _, kind = readers[version](opened, max_header_size=_HEADER)
        if not all(type(size) is int and size >= 0 for size in shape):
            raise DataError(f"{name}: {key} has shape {shape}; expected whole numbers")
        if len(shape) > LARGEST_RANK:
            raise DataError(f"{name}: {key} has {len(shape)} dimensions; expected at most {LARGEST_RANK}")
        return shape, kind, opened.tell()
