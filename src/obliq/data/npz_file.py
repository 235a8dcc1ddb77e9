"""The user's own data in one .npz file: arrays `x` and `y`, and optionally `subject` (people) and `id`."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from obliq.data.collection import LARGEST, Collection, channels_of, user_collection
from obliq.data.names import numbered
from obliq.data.source_options import SourceOptions, channels_first, require_clear_layout
from obliq.errors import DataError, ObliqError
from obliq.io.budget import MEMORY_OF_ANY, MEMORY_OF_BYTE, Budget
from obliq.io.isolated.child import isolated_reader
from obliq.io.isolated.reader import Reader, Task
from obliq.io.regular_file import open_regular_file
from obliq.io.visible_text import visible_line

_ARRAYS = ("x", "y", "subject", "id")
_ROOM = 2**28
"""Bytes that a child may take beyond what the file's budget allows: its list of entries, and unpacking."""


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
        with open_npz(name, file, 2 * LARGEST, _ARRAYS) as npz:
            lacking = [array for array in ("x", "y") if array not in npz.held]
            if lacking:
                raise DataError(
                    f"{name}: no array {' and '.join(lacking)} (it holds {visible_line(', '.join(npz.first))}); "
                    "expected x, y and optionally subject and id"
                )
            inputs = _inputs(name, npz.array("x"))
            labels, class_names = _named(name, "y", npz.array("y"), len(inputs))
            subjects: Tensor | None = None
            subject_names: tuple[str, ...] = ()
            ids: tuple[str, ...] = ()
            if "subject" in npz.held:
                subjects, subject_names = _named(name, "subject", npz.array("subject"), len(inputs))
            if "id" in npz.held:
                ids = _words(name, "id", npz.array("id"), len(inputs))
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


@dataclass(frozen=True)
class OpenNpz:
    """An .npz file that a child process reads.

    Attributes:
        held: which of the wanted arrays it has.
        first: the names of its first eight arrays.
        unpacked: bytes of all its entries.
    """

    held: frozenset[str]
    first: tuple[str, ...]
    unpacked: int
    _name: str
    _file: BufferedIOBase
    _reader: Reader
    _budget: Budget

    def array(self, key: str) -> npt.NDArray[Any]:
        """Read one array; only `x` may hold no names.

        Raises:
            DataError: for an array of objects, of another type than numbers or names, too large, or of another size
                than it claims.
            ObliqError: for a damaged archive.
        """
        arguments = {"name": self._name, "key": key, "largest": LARGEST}
        found = self._reader.read(
            Task("array of npz", arguments, self._budget, most=LARGEST, opened=self._file)
        )
        return found.of_shapes(None, kind=None)[0]


@contextlib.contextmanager
def open_npz(name: str, file: Path, largest: int, wanted: Sequence[str]) -> Iterator[OpenNpz]:
    """Open an .npz file, which a child process unpacks.

    Args:
        name: of the file, in errors.
        file: where it is.
        largest: bytes up to which it is opened.
        wanted: the names of the arrays that may be read.

    Raises:
        ObliqError: for a file that cannot be opened, and a damaged list of entries.
    """
    jobs = ("entries of npz", "array of npz")
    with open_regular_file(file, largest) as (opened, size):
        budget = Budget(size, DataError)
        memory = MEMORY_OF_ANY + MEMORY_OF_BYTE * size + _ROOM
        with isolated_reader(jobs, memory=memory, seconds=60 + size // 2**19) as reader:
            found = reader.read(
                Task("entries of npz", {"wanted": list(wanted)}, budget, most=0, opened=opened)
            )
            match found.facts:
                case {"held": [*held], "first": [*first], "unpacked": int(unpacked)}:
                    pass
                case _:
                    raise ObliqError("its list of entries was not read; expected an .npz file of numpy.savez")
            yield OpenNpz(
                frozenset(map(str, held)), tuple(map(str, first)), unpacked, name, opened, reader, budget
            )


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
