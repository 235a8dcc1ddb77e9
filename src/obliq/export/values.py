"""What is known about each value of a file's graph before anything is computed with it."""

from dataclasses import dataclass, field

import numpy as np
from numpy import ndarray

from obliq.errors import ModelError
from obliq.export.contents import Node

LARGEST_SAMPLE = 2**28
"""Elements of one activation of one sample."""

_SMALLEST_SCALE = float(np.finfo(np.float32).tiny)
_LARGEST_SCALE = float(np.finfo(np.float32).max) / 256


@dataclass(frozen=True, kw_only=True, eq=False)
class Value:
    """One value.

    Attributes:
        kind: element type; codes of 4 and 2 bits are `int4` and `int2`.
        shape: of a constant, or of one sample of an activation.
        constant: its values, None for an activation.
        scale: for reals made from codes, what one code stands for; a single one or one an output.
        codes: for constant reals made from codes, those codes.
        span: smallest and largest byte of an activation; of reals made from one, the codes that those stand for.
    """

    kind: str
    shape: tuple[int, ...]
    constant: ndarray | None = field(default=None, repr=False)
    scale: ndarray | None = field(default=None, repr=False)
    codes: ndarray | None = field(default=None, repr=False)
    span: tuple[int, int] = (0, 255)

    @property
    def flows(self) -> bool:
        """Whether it depends on the input."""
        return self.constant is None and self.codes is None


def activation(
    kind: str, shape: tuple[int, ...], scale: ndarray | None = None, span: tuple[int, int] = (0, 255)
) -> Value:
    """A value that depends on the input.

    Raises:
        ModelError: when one sample of it would be empty or enormous.
    """
    elements = 1
    for size in shape:
        elements *= size
    if any(size < 1 for size in shape) or elements > LARGEST_SAMPLE:
        raise ModelError(
            f"an activation of shape {shape}; expected sizes from 1, and {LARGEST_SAMPLE} elements at most"
        )
    return Value(kind=kind, shape=shape, scale=scale, span=span)


def require(condition: bool, node: Node, expected: str) -> None:
    """Raise unless a node is as it must be.

    Raises:
        ModelError: naming the node and what was expected.
    """
    if not condition:
        raise ModelError(f"{node.operator} that makes {node.output!r}: expected {expected}")


def scales(value: Value, node: Node, shape: tuple[int, ...]) -> ndarray:
    """Constant float32 scales of this shape.

    Raises:
        ModelError: for another number of scales, or one that is not finite, positive and normal.
    """
    found = value.constant
    fits = found is not None and value.kind == "float32" and value.shape == shape
    require(fits, node, f"constant float32 scales of shape {shape}")
    assert found is not None
    usable = np.isfinite(found) & (found >= _SMALLEST_SCALE) & (found <= _LARGEST_SCALE)
    require(bool(usable.all()), node, "scales that are positive, finite and not denormal")
    return found


def scalar(value: Value, node: Node, kind: str) -> int:
    """A single constant whole number of this type.

    Raises:
        ModelError: for anything else.
    """
    require(
        value.constant is not None and value.kind == kind and value.shape == (), node, f"one constant {kind}"
    )
    assert value.constant is not None
    return int(value.constant)


def setting(node: Node, name: str, otherwise: tuple[int, ...], low: int, high: int) -> tuple[int, ...]:
    """Several whole numbers from a node's settings.

    Raises:
        ModelError: when there are more or fewer than in `otherwise`, or they are out of range.
    """
    found = node.settings.get(name, otherwise)
    fits = isinstance(found, tuple) and len(found) == len(otherwise)
    require(fits, node, f"{len(otherwise)} numbers of {name}")
    assert isinstance(found, tuple)
    require(all(low <= number <= high for number in found), node, f"{name} from {low} to {high}")
    return found


def whole(node: Node, name: str, otherwise: int, low: int, high: int) -> int:
    """One whole number from a node's settings.

    Raises:
        ModelError: when it is out of range.
    """
    found = node.settings.get(name, otherwise)
    require(isinstance(found, int) and low <= found <= high, node, f"{name} from {low} to {high}")
    assert isinstance(found, int)
    return found
