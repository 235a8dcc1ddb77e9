"""Recordings of people in the pickle of an .npy file, read without running any code that the pickle names.

The file is NumPy's array of one Python object: a dictionary with a list of recordings, each of its own length, and
arrays with the class and the person of each. It is how the package seglearn stores its data set.
"""

import io
import math
import re
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from obliq.errors import DataError, ObliqError
from obliq.io.budget import Budget
from obliq.io.isolated.job import Found, Given, RawArray
from obliq.io.isolated.pickled_arrays import PickledArray, PickledKind, unpickled

_HEADER = 4096  # bytes allowed for the description of the array
_LONGEST_NAME = 40  # letters of a class
_MOST_NAMES = 1000
_LARGEST_SIZE = 2**31 - 1
_NUMBER = re.compile("f[48]|[iu][1248]")


def read_recordings(given: Given) -> Found:
    """All recordings, one after the other.

    The arguments are `file` (its name) and `channels` (numbers in each step of a recording).

    Returns:
        Four arrays: the steps of all recordings as float32 (steps, channels); then as int64, one each, the length, the
        class and the person of each recording. The fact `classes` has the names of the classes.

    Raises:
        DataError: for any other content.
    """
    file, channels = (given.arguments[one] for one in ("file", "channels"))
    (content,) = given.contents
    held = unpickled(file, content[_start_of_pickle(file, content) :], given.budget)
    inside = held.state if isinstance(held, PickledArray) else None
    match inside:
        case (_, (), PickledKind(), _, [dict(found)]):
            pass
        case _:
            raise DataError(f"{file} holds no dictionary of recordings; expected the original file")
    listed, names = found.get("X"), found.get("y_labels")
    if not isinstance(listed, list) or not listed:
        raise DataError(f"{file}: no list of recordings under 'X'; expected the original file")
    recordings = [
        _numbers(f"{file}: recording {number}", one, given.budget) for number, one in enumerate(listed)
    ]
    for number, one in enumerate(recordings):
        if one.ndim != 2 or one.shape[1] != channels:
            raise DataError(f"{file}: recording {number} has shape {one.shape}; expected (steps, {channels})")
    if not are_class_names(names):
        raise DataError(
            f"{file}: no names of classes under 'y_labels', each once; expected the original file"
        )
    with np.errstate(all="ignore"):  # numbers that float32 lacks become infinite, which a collection refuses
        steps = np.concatenate(recordings).astype("<f4")
    return Found(
        [
            _raw(steps),
            _raw(np.array([len(one) for one in recordings], "<i8")),
            *(
                _raw(_one_each(file, key, found.get(key), len(recordings), given.budget))
                for key in ("y", "subject")
            ),
        ],
        {"classes": names},
    )


def are_class_names(names: object) -> TypeGuard[list[str]]:
    """Whether these are short names that can be printed, at least one and each once."""
    return (
        isinstance(names, list)
        and 0 < len(names) <= _MOST_NAMES
        and all(
            isinstance(name, str) and name.isprintable() and name.strip() and len(name) <= _LONGEST_NAME
            for name in names
        )
        and len(set(names)) == len(names)
    )


def _start_of_pickle(file: str, content: bytes) -> int:
    """Where the pickle begins, behind the header of an array of one object."""
    opened = io.BytesIO(content)
    try:
        if npy.read_magic(opened) != (1, 0):
            raise DataError(f"{file} is in another version of NumPy's format; expected 1.0")
        shape, _, kind = npy.read_array_header_1_0(opened, max_header_size=_HEADER)
    except ObliqError:
        raise
    except Exception as error:  # NumPy evaluates the header as a literal, which may raise almost anything
        raise DataError(f"{file} is no .npy file ({type(error).__name__}); expected the original") from error
    if kind != np.dtype(object) or shape != ():
        raise DataError(
            f"{file} holds an array of {str(kind)[:80]} of shape {str(shape)[:80]}; expected one object"
        )
    return opened.tell()


def _numbers(what: str, value: object, budget: Budget) -> npt.NDArray[Any]:
    """The array that a stand-in describes, row by row."""
    match value.state if isinstance(value, PickledArray) else None:
        case (_, tuple(shape), PickledKind(code=str(code), order=str(order)), bool(by_column), bytes(raw)):
            pass
        case _:
            raise DataError(f"{what} is no array; expected the original file")
    if not _NUMBER.fullmatch(code) or order not in ("<", ">", "|", "="):
        raise DataError(f"{what} is an array of {code[:20]!r}; expected numbers of at most 64 bits")
    kind = np.dtype(order + code)
    if len(shape) > 2 or not all(type(size) is int and 0 <= size <= _LARGEST_SIZE for size in shape):
        raise DataError(f"{what} has shape {str(shape)[:80]}; expected at most two sizes")
    if math.prod(shape) * kind.itemsize != len(raw):
        raise DataError(
            f"{what} claims shape {shape} but holds {len(raw):,} bytes; expected {math.prod(shape) * kind.itemsize:,}"
        )
    # in one piece with the others, in another type, and in the answer
    budget.spend(what, memory=24 * math.prod(shape), work=3 * math.prod(shape))
    return np.ndarray(shape, kind, raw, order="F" if by_column else "C")


def _one_each(file: str, key: str, value: object, count: int, budget: Budget) -> npt.NDArray[np.int64]:
    """A whole number from 0 for each recording."""
    found = _numbers(f"{file}: {key!r}", value, budget)
    if (
        found.shape != (count,)
        or found.dtype.kind not in "iu"
        or found.min() < 0
        or found.max() > _LARGEST_SIZE
    ):
        raise DataError(
            f"{file}: {key!r} has {found.dtype} of shape {found.shape}; expected a number from 0 for each of {count:,} "
            "recordings"
        )
    return found.astype("<i8")


def _raw(array: npt.NDArray[Any]) -> RawArray:
    return RawArray(array.dtype.str, array.shape, np.ascontiguousarray(array).tobytes())
