"""The user's own data in one .npz file: arrays `x`, `y` and, where people are known, `subject`."""

import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numpy.lib import format as npy
from torch import Tensor

from obliq.data.collection import LARGEST, Collection, channels_of, user_collection
from obliq.errors import DataError

_HEADER = 4096  # bytes allowed for the description of an array


def from_npz(name: str, file: Path) -> Collection:
    """Read samples, labels and subjects.

    Args:
        name: of the collection: `npz:` and the path as the user wrote it.
        file: holds `x` (samples first, then channels; uint8 or float), `y` (classes from 0) and optionally
            `subject` (numbers, -1 for unknown).

    Raises:
        DataError: for a missing or damaged file, missing arrays, object arrays, wrong types or shapes, NaN,
            or more than 8 GiB.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            held = [entry.removesuffix(".npy") for entry in archive.namelist()]
            lacking = [array for array in ("x", "y") if array not in held]
            if lacking:
                raise DataError(
                    f"{name}: no array {' and '.join(lacking)} (it holds {', '.join(held[:8])}); "
                    "expected x, y and optionally subject"
                )
            inputs = _inputs(name, _array(name, archive, "x"))
            labels = _integers(name, "y", _array(name, archive, "y"), len(inputs))
            subjects = None
            if "subject" in held:
                subjects = _integers(name, "subject", _array(name, archive, "subject"), len(inputs))
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, ValueError, RuntimeError) as error:
        raise DataError(f"{name}: cannot be read as .npz ({error}); expected numpy.savez's") from error
    return user_collection(name, inputs, labels, subjects=subjects, channels=channels_of(inputs))


def _array(name: str, archive: zipfile.ZipFile, key: str) -> npt.NDArray[Any]:
    """Read one array after its size has been checked in both headers."""
    entry = archive.getinfo(f"{key}.npy")
    if entry.file_size > LARGEST:
        raise DataError(f"{name}: {key} unpacks to {entry.file_size} bytes; expected at most {LARGEST}")
    shape, kind, described = _described(name, key, archive)
    if kind.hasobject:
        raise DataError(f"{name}: {key} is an array of Python objects; expected plain numbers")
    if kind.kind not in "fiu" or kind.itemsize > 8:
        raise DataError(f"{name}: {key} has type {kind}; expected numbers of at most 64 bits")
    if math.prod(shape) * kind.itemsize != entry.file_size - described:
        raise DataError(
            f"{name}: {key} claims shape {shape} but holds {entry.file_size - described} bytes; "
            f"expected {math.prod(shape) * kind.itemsize}"
        )
    with archive.open(entry) as opened:
        array: npt.NDArray[Any] = npy.read_array(opened, allow_pickle=False, max_header_size=_HEADER)
    return array


def _described(name: str, key: str, archive: zipfile.ZipFile) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape, type and length of the header of an array file."""
    with archive.open(f"{key}.npy") as opened:
        version = npy.read_magic(opened)
        readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
        if version not in readers:
            raise DataError(f"{name}: {key} is in array format {version}; expected 1.0 or 2.0")
        shape, _, kind = readers[version](opened, max_header_size=_HEADER)
        return shape, kind, opened.tell()


def _inputs(name: str, array: npt.NDArray[Any]) -> Tensor:
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise DataError(f"{name}: x has type {array.dtype}; expected uint8 or float")
    if array.ndim < 2:
        raise DataError(f"{name}: x has shape {array.shape}; expected samples first, then their dimensions")
    if 0 in array.shape:
        raise DataError(f"{name}: x has shape {array.shape}, which is empty; expected at least one sample")
    if array.ndim == 4 and array.shape[3] in (1, 3, 4) and array.shape[1] > 4:
        raise DataError(
            f"{name}: x has shape {array.shape}, colours last; expected (samples, channels, height, width)"
        )
    if array.dtype == np.uint8:
        return torch.from_numpy(np.ascontiguousarray(array))
    with np.errstate(over="ignore"):  # too large values become infinite, which Collection refuses
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def _integers(name: str, key: str, array: npt.NDArray[Any], count: int) -> Tensor:
    if array.dtype.kind not in "iu":
        raise DataError(f"{name}: {key} has type {array.dtype}; expected integers")
    if array.shape != (count,):
        raise DataError(f"{name}: {key} has shape {array.shape}; expected ({count},), one number per sample")
    return torch.from_numpy(array.astype(np.int64))
