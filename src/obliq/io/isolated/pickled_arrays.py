"""Pickles that hold arrays, read without running any code that they name.

A pickle is a program that may call any function. Here every name in it is looked up in a table of five inert stand-ins,
and any other name is an error.
"""

import io
import math
import pickle
from typing import Any

from obliq.errors import DataError, ObliqError
from obliq.io.budget import Budget
from obliq.io.isolated.job import Found, Given, RawArray
from obliq.io.pickle_check import check_pickle
from obliq.io.visible_text import visible_line


def read_batch(given: Given) -> Found:
    """A batch of CIFAR-10 or CIFAR-100, as rows of bytes and their classes from 0.

    The arguments are `file` (its name), `width` (bytes of a row), `key` (that of the classes) and `classes` (how many
    there are, at most 256).

    Raises:
        DataError: for any other content.
    """
    file, width, key, classes = (given.arguments[one] for one in ("file", "width", "key", "classes"))
    (content,) = given.contents
    held = pickled_arrays(file, content, given.budget)
    if not isinstance(held, dict):
        raise DataError(f"{file} holds a {type(held).__name__}; expected data and labels")
    data, labels = (held.get(one.encode(), held.get(one)) for one in ("data", key))
    if not isinstance(data, RawArray) or len(data.shape) != 2 or data.shape[1] != width:
        raise DataError(f"{file}: no rows of {width} bytes under 'data'; expected the original file")
    if not isinstance(labels, list) or not all(type(one) is int and 0 <= one < classes for one in labels):
        raise DataError(f"{file}: no list of classes 0 to {classes - 1}; expected the original file")
    return Found([data, RawArray("|u1", (len(labels),), bytes(labels))])


def pickled_arrays(file: str, data: bytes, budget: Budget) -> object:
    """Read numbers, text, bytes, lists, tuples, dictionaries and uint8 arrays from a pickle.

    An array may be the whole content or a value of the dictionary that is the content.

    Args:
        file: its name, for errors.
        data: its content.
        budget: of all the files that belong together.

    Raises:
        DataError: for any other content or damage.
    """
    content = unpickled(file, data, budget)
    if isinstance(content, dict):
        return {key: _to_array(file, value) for key, value in content.items()}
    return _to_array(file, content)


def unpickled(file: str, data: bytes, budget: Budget) -> object:
    """What a pickle holds, with stand-ins in place of arrays and their types.

    Args:
        file: its name, for errors.
        data: its content.
        budget: of all the files that belong together.

    Raises:
        DataError: for damage, for more than the budget allows, and for any name but those of arrays.
    """
    try:
        budget.spend("its content", memory=2 * len(data))  # the array and its copy
        check_pickle(io.BytesIO(data), budget)
        # "bytes": Python 2 wrote the originals, and its text is read as bytes
        return _OnlyArrays(io.BytesIO(data), encoding="bytes").load()
    except ObliqError as error:
        raise DataError(f"{file}: {error}") from error
    except Exception as error:  # a damaged pickle may raise almost anything
        raise DataError(f"{file} is damaged ({type(error).__name__}); expected the original") from error


class PickledKind:
    """Stands for numpy.dtype; records the code and the order of bytes."""

    order: object = "|"

    def __init__(self, code: object = None, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) > 1:
            self.order = state[1]


class PickledArray:
    """Stands for an array under reconstruction; records its state."""

    state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


class _ArrayType:
    """Stands for numpy.ndarray where it is named as an argument."""


def _reconstruct(*_: object) -> PickledArray:
    return PickledArray()


def _encode(text: object, encoding: object = None) -> bytes:
    """Python 3 writes bytes in old pickles as Latin-1 text; no other codec is called."""
    if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
        raise DataError("it names an unexpected codec; expected arrays, lists and text only")
    return text.encode("latin1")


_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _ArrayType,
    ("numpy", "dtype"): PickledKind,
    ("_codecs", "encode"): _encode,
}


class _OnlyArrays(pickle.Unpickler):
    """Gives out the inert stand-ins above and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _STAND_INS[module, name]
        except KeyError:
            called = visible_line(f"{module}.{name}")[:200]
            raise DataError(
                f"it names {called}, which is never run; expected arrays, lists and text only"
            ) from None

    def persistent_load(self, _: Any) -> Any:
        raise DataError("it refers to other files; expected arrays, lists and text only")


def _to_array(file: str, value: object) -> object:
    if not isinstance(value, PickledArray):
        return value
    match value.state:
        case (
            _,
            tuple(shape),
            PickledKind(code="u1" | b"u1" | "uint8"),
            bool() | int() as by_column,
            bytes(raw),
        ):
            if by_column or not all(type(size) is int and size >= 0 for size in shape):
                raise DataError(f"{file}: an array by column or of shape {shape}; expected rows of bytes")
            if math.prod(shape) != len(raw):
                raise DataError(
                    f"{file}: an array of shape {shape} with {len(raw):,} bytes; expected one each"
                )
            return RawArray("|u1", shape, raw)
        case _:
            raise DataError(f"{file}: an array that is not of bytes; expected uint8")
