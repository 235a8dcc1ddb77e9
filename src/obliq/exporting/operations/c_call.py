"""What an operation is in a C file: calls of kernels, which `kernels.c` and `windows.c` of `exporting/c` define."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from obliq.errors import ModelError
from obliq.exporting.operations.windows import Window, in_the_plane

Shape = tuple[int, ...]
"""Of one sample."""

_MOST_AXES = 8


@dataclass(frozen=True, kw_only=True)
class CCall:
    """One call of a kernel.

    Attributes:
        kernel: its name.
        struct: the name of the structure of its sizes.
        sizes: whole numbers by the names of its fields; rows of them, and structures inside it.
        reads: which sources of the step it reads, in the order of its arguments.
        stored: which numbers of the step the kernel finds in the image, by the names of fields that get their places.
    """

    kernel: str
    struct: str
    sizes: Mapping[str, Any]
    reads: tuple[int, ...] = (0,)
    stored: tuple[str, ...] = field(default=())


def window_sizes(window: Window, read: Shape, result: Shape, path: str) -> dict[str, Any]:
    """The fields of `struct window`, for activations of channels and one or two axes of space.

    Raises:
        ModelError: for more axes.
    """
    if not 1 <= len(window.kernel) <= 2:
        raise ModelError(
            f"{path} covers {len(window.kernel)} axes of space, which has no C form here; expected one or two"
        )
    before = tuple(size for size, _ in window.padding)
    return {
        "channels": read[0],
        "in": in_the_plane(read[1:]),
        "out": in_the_plane(result[1:]),
        "kernel": in_the_plane(window.kernel),
        "stride": in_the_plane(window.stride),
        "before": in_the_plane(before, 0),
        "gap": in_the_plane(window.dilation),
    }


def pair_sizes(reads: Sequence[Shape], result: Shape, path: str) -> dict[str, Any]:
    """The fields of `struct axes` for two activations of which axes of size 1 are repeated.

    Raises:
        ModelError: for more axes than the structure has.
    """
    elements = math.prod(result)
    if all(shape == result for shape in reads):
        return axes_sizes((elements,), [(1,), (1,)], path)
    full = [(1,) * (len(result) - len(shape)) + shape for shape in reads]
    strides = [tuple(s if n > 1 else 0 for s, n in zip(strides_of(one), one, strict=True)) for one in full]
    return axes_sizes(result, strides, path)


def axes_sizes(sizes: Shape, strides: Sequence[Shape], path: str) -> dict[str, Any]:
    """The fields of `struct axes`.

    Raises:
        ModelError: for more axes than the structure has.
    """
    if len(sizes) > _MOST_AXES:
        raise ModelError(
            f"{path} has {len(sizes)} axes, which has no C form here; expected at most {_MOST_AXES}"
        )
    named = dict(zip(("first", "second"), strides, strict=False))
    return {"elements": math.prod(sizes), "count": len(sizes), "sizes": sizes, **named}


def strides_of(shape: Shape) -> Shape:
    """How far the values of each axis are apart."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
