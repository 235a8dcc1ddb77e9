"""The constants of another quantizer's file, whose values may lie in typed fields."""

from typing import Any

import numpy as np

from obliq.errors import ModelError
from obliq.export.wire import Field, Table, packed_numbers

KINDS = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64"}
TENSOR: Table = {
    1: Field("dims", "int", 8), 2: Field("kind", "int"), 4: Field("floats", "bytes"), 5: Field("numbers", "bytes"),
    8: Field("name", "text"), 9: Field("raw", "bytes"),
}  # fmt: skip
MOST_TYPED = 2**20
"""Bytes of whole numbers in typed fields of one file; each takes a step of Python, and weights lie in raw bytes."""


def into_bytes(tensors: list[dict[str, Any]]) -> None:
    """Put values that lie in typed fields into raw bytes, in place, so that there is one form from here on.

    Raises:
        ModelError: for values in two fields or none, too many of them, and some that do not fit their type.
    """
    typed = sum(len(tensor["numbers"] or b"") for tensor in tensors)
    if typed > MOST_TYPED:
        raise ModelError(f"{typed} bytes of numbers in typed fields; expected at most {MOST_TYPED}")
    for tensor in tensors:
        _into_bytes(tensor)


def _into_bytes(tensor: dict[str, Any]) -> None:
    given = [field for field in ("raw", "floats", "numbers") if tensor[field] is not None]
    kind, name = KINDS.get(tensor["kind"]), tensor["name"]
    fits = {"floats": kind == "float32", "numbers": kind in ("uint8", "int8", "int32")}
    if len(given) != 1 or not fits.get(given[0], True):
        raise ModelError(
            f"constant {name!r} has values in {given or 'no field'}; expected one that fits its type"
        )
    if given == ["floats"]:
        tensor["raw"] = tensor["floats"]
    elif given == ["numbers"]:
        numbers = np.array(packed_numbers(tensor["numbers"], MOST_TYPED, f"constant {name!r}"), np.int64)
        limits = np.iinfo(str(kind))
        if numbers.size and not (limits.min <= numbers.min() and numbers.max() <= limits.max):
            raise ModelError(f"constant {name!r} has values beyond {kind}; expected some that fit")
        tensor["raw"] = memoryview(numbers.astype(np.dtype(str(kind)).newbyteorder("<")).tobytes())
