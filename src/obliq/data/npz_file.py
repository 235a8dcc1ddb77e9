"""The user's own data in one .npz file: arrays `x` and `y`, and optionally `subject` (people) and `id`."""

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numpy.lib import format as npy
from torch import Tensor

from obliq.data.collection import LARGEST, Collection, channels_of, user_collection
from obliq.data.names import numbered
from obliq.data.source_options import SourceOptions, channels_first, require_clear_layout
from obliq.errors import DataError, ObliqError
from obliq.io.archive import open_archive
from obliq.io.budget import Budget
from obliq.io.regular_file import open_regular_file
from obliq.io.visible_text import visible_line

_HEADER = 4096  # bytes allowed for the description of an array
_LONGEST_NAME = 256  # letters of a label, a subject or an id
_OF_NAME = 200  # bytes of a name as a text, in the lists and sets that it goes through


def from_npz(name: str, file: Path, options: SourceOptions | None = None) -> Collection:
    """Read samples, labels, subjects and ids.

    Args:
        name: of the collection: `npz:` and the path as the user wrote it.
        file: holds `x` (samples first, then channels; uint8 or float), `y` (classes from 0, or names) and optionally
            `subject` (numbers, -1 for unknown; or names, empty for unknown) and `id` (numbers or names).
        options: what the name states about the axes, the labels and the scale.

    Raises:
        DataError: for a missing or damaged file, missing arrays, object arrays, wrong types or shapes, NaN,
            or more than 8 GiB.
    """
    options = options or SourceOptions()
    try:
        with (
            open_regular_file(file, 2 * LARGEST) as (opened, size),
            open_archive(opened, ".npz", "numpy.savez's") as archive,
        ):
            budget = Budget(size, DataError)
            held = [entry.removesuffix(".npy") for entry in archive.namelist() if entry.endswith(".npy")]
            lacking = [array for array in ("x", "y") if array not in held]
            if lacking:
                raise DataError(
                    f"{name}: no array {' and '.join(lacking)} (it holds {visible_line(', '.join(held[:8]))}); "
                    "expected x, y and optionally subject and id"
                )
            inputs = _inputs(name, read_array(name, archive, "x", budget))
            labels, class_names = _named(name, "y", read_array(name, archive, "y", budget), len(inputs))
            subjects: Tensor | None = None
            subject_names: tuple[str, ...] = ()
            ids: tuple[str, ...] = ()
            if "subject" in held:
                owners = read_array(name, archive, "subject", budget)
                subjects, subject_names = _named(name, "subject", owners, len(inputs))
            if "id" in held:
                ids = _words(name, "id", read_array(name, archive, "id", budget), len(inputs))
    except DataError:
        raise
    except ObliqError as error:
        raise DataError(f"{name}: {error}") from error
    require_clear_layout(name, inputs.shape[1:], inputs.dtype, options.layout)
    inputs = channels_first(inputs, options.layout)
    return user_collection(
        name,
        inputs,
        labels,
        subjects=subjects,
        class_names=class_names,
        channels=channels_of(inputs),
        subject_names=subject_names,
        sample_names=ids,
        options=options,
    )


def read_array(name: str, archive: zipfile.ZipFile, key: str, budget: Budget) -> npt.NDArray[Any]:
    """Read one array after its size has been checked in both headers.

    Args:
        name: of the file, in errors.
        archive: the open file.
        key: name of the array. Only `x` may hold no names.
        budget: of the file.

    Raises:
        DataError: for an array of objects, of another type than numbers or names, too large, or of another size
            than it claims.
    """
    entry = archive.getinfo(f"{key}.npy")
    if entry.file_size > LARGEST:
        raise DataError(f"{name}: {key} unpacks to {entry.file_size:,} bytes; expected at most {LARGEST:,}")
    slow = entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    what = f"{name}: {key}, which is packed to {entry.compress_size:,} bytes,"
    budget.spend(what, memory=entry.file_size, work=(20 if slow else 2) * entry.file_size)
    shape, kind, described = _described(name, key, archive)
    if kind.hasobject:
        raise DataError(f"{name}: {key} is an array of Python objects; expected plain numbers")
    names = kind.kind == "U" and key != "x" and kind.itemsize <= 4 * _LONGEST_NAME
    if not names and (kind.kind not in "fiu" or kind.itemsize > 8):
        raise DataError(
            f"{name}: {key} has type {kind}; expected numbers of at most 64 bits"
            + (f", or names of at most {_LONGEST_NAME} letters" if key != "x" else "")
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
        if not all(type(size) is int and size >= 0 for size in shape):
            raise DataError(f"{name}: {key} has shape {shape}; expected whole numbers")
        return shape, kind, opened.tell()


def _inputs(name: str, array: npt.NDArray[Any]) -> Tensor:
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise DataError(f"{name}: x has type {array.dtype}; expected uint8 or float")
    if array.ndim < 2:
        raise DataError(f"{name}: x has shape {array.shape}; expected samples first, then their dimensions")
    if 0 in array.shape:
        raise DataError(f"{name}: x has shape {array.shape}, which is empty; expected at least one sample")
    if array.dtype == np.uint8:
        return torch.from_numpy(np.ascontiguousarray(array))
    with np.errstate(over="ignore"):  # too large values become infinite, which Collection refuses
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def _named(name: str, key: str, array: npt.NDArray[Any], count: int) -> tuple[Tensor, tuple[str, ...]]:
    """Numbers as they are; or names as numbers from 0, and the names."""
    if array.dtype.kind == "U":
        numbers, names = numbered(_words(name, key, array, count))
        return torch.tensor(numbers), names
    _require_one_each(name, key, array, count)
    return torch.from_numpy(array.astype(np.int64)), ()


def _words(name: str, key: str, array: npt.NDArray[Any], count: int) -> tuple[str, ...]:
    _require_one_each(name, key, array, count)
    return tuple(map(str, array.tolist()))


def _require_one_each(name: str, key: str, array: npt.NDArray[Any], count: int) -> None:
    if array.dtype.kind not in "iuU":
        raise DataError(f"{name}: {key} has type {array.dtype}; expected integers, or names as text")
    if array.shape != (count,):
        raise DataError(f"{name}: {key} has shape {array.shape}; expected ({count},), one for each sample")
