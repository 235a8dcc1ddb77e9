"""From node to node through a file's graph: what is known of each value, and whether the whole makes sense.

Whatever does not fit raises `ModelError`, with the node, what was found and what was expected.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy import ndarray

from obliq.errors import ModelError
from obliq.exporting.onnx.contents import Contents, OnnxNode
from obliq.io.budget import OBJECT, STEP, Budget

LARGEST_SAMPLE = 2**28
"""Elements of one activation of one sample."""

_SMALLEST_SCALE = float(np.finfo(np.float32).tiny)
_LARGEST_SCALE = float(np.finfo(np.float32).max) / 256
_LARGEST_SETTING = 1e6


@dataclass(frozen=True, kw_only=True, eq=False)
class Value:
    """One value.

    Attributes:
        kind: element type; codes of 4 and 2 bits are `int4` and `int2`.
        shape: of a constant, or of one sample of an activation.
        constant: its values, None for an activation.
        scale: for reals that stand for codes, what one code stands for; a single one or one along `axis`.
        codes: for constant reals that stand for codes, those codes.
        span: smallest and largest byte of an activation; of reals that stand for one, their codes. Of constant codes
            in files of other quantizers, between which values they were clamped.
        axis: along which a constant has several scales.
        zero: the byte that stands for 0, in files of other quantizers; one, or one for each scale.
    """

    kind: str
    shape: tuple[int, ...]
    constant: ndarray | None = field(default=None, repr=False)
    scale: ndarray | None = field(default=None, repr=False)
    codes: ndarray | None = field(default=None, repr=False)
    span: tuple[int, int] = (0, 255)
    axis: int = 0
    zero: int | ndarray = 0

    @property
    def flows(self) -> bool:
        """Whether it depends on the input."""
        return self.constant is None and self.codes is None and self.kind != "nothing"

    @property
    def coded(self) -> tuple[ndarray, ndarray]:
        """The codes and the scale of constant reals that stand for codes."""
        assert self.codes is not None
        assert self.scale is not None
        return self.codes, self.scale


NOTHING = Value(kind="nothing", shape=())
"""What stands for an input that a node leaves out, in files of other quantizers."""


def activation(
    kind: str, shape: tuple[int, ...], scale: ndarray | None = None, span: tuple[int, int] = (0, 255)
) -> Value:
    """A value that depends on the input."""
    if any(size < 1 for size in shape) or math.prod(shape) > LARGEST_SAMPLE:
        raise ModelError(
            f"an activation of shape {shape}; expected sizes from 1, and {LARGEST_SAMPLE} elements at most"
        )
    return Value(kind=kind, shape=shape, scale=scale, span=span)


def require(condition: bool, node: OnnxNode, expected: str) -> None:
    """Raise unless a node is as it must be."""
    if not condition:
        raise ModelError(f"{node.operator} that makes {node.output!r}: expected {expected}")


def constant_of(value: Value, node: OnnxNode, fits: bool, expected: str) -> ndarray:
    """The values of a constant that a node reads, which must be one and fit."""
    require(fits and value.constant is not None, node, expected)
    assert value.constant is not None
    return value.constant


def scales(value: Value, node: OnnxNode, shape: tuple[int, ...]) -> ndarray:
    """Constant float32 scales of this shape."""
    fits = value.kind == "float32" and value.shape == shape
    found = constant_of(value, node, fits, f"constant float32 scales of shape {shape}")
    usable = np.isfinite(found) & (found >= _SMALLEST_SCALE) & (found <= _LARGEST_SCALE)
    require(bool(usable.all()), node, "scales that are positive, finite and not denormal")
    return found


def scalar(value: Value, node: OnnxNode, kind: str) -> int:
    """A single constant whole number of this type."""
    return int(constant_of(value, node, value.kind == kind and value.shape == (), f"one constant {kind}"))


def setting(node: OnnxNode, name: str, otherwise: tuple[int, ...], low: int, high: int) -> tuple[int, ...]:
    """Several whole numbers from a node's settings."""
    found = node.settings.get(name, otherwise)
    fits = isinstance(found, tuple) and len(found) == len(otherwise)
    require(fits, node, f"{len(otherwise)} numbers of {name}")
    assert isinstance(found, tuple)
    require(all(low <= number <= high for number in found), node, f"{name} from {low} to {high}")
    return found


def real(node: OnnxNode, name: str, otherwise: float) -> float:
    """One real number from a node's settings."""
    found = node.settings.get(name, otherwise)
    usable = isinstance(found, float) and abs(found) <= _LARGEST_SETTING
    require(usable, node, f"{name} from {-_LARGEST_SETTING:g} to {_LARGEST_SETTING:g}")
    assert isinstance(found, float)
    return found


def text(node: OnnxNode, name: str, otherwise: str, known: tuple[str, ...]) -> str:
    """One of some words from a node's settings."""
    found = node.settings.get(name, otherwise)
    require(isinstance(found, str) and found in known, node, f"{name} {' or '.join(known)}")
    assert isinstance(found, str)
    return found


def whole(node: OnnxNode, name: str, otherwise: int, low: int, high: int) -> int:
    """One whole number from a node's settings."""
    found = node.settings.get(name, otherwise)
    require(isinstance(found, int) and low <= found <= high, node, f"{name} from {low} to {high}")
    assert isinstance(found, int)
    return found


def broadcast(node: OnnxNode, read: list[Value]) -> Value:
    """What must hold of two activations that are computed with value by value; an axis of size 1 is repeated."""
    first, second = read
    fits = first.flows and second.flows and first.kind == second.kind == "float32"
    require(fits and len(first.shape) == len(second.shape), node, "two real activations of as many axes")
    pairs = list(zip(first.shape, second.shape, strict=True))
    require(
        all(one == other or 1 in (one, other) for one, other in pairs), node, "axes of one size, or of size 1"
    )
    return activation("float32", tuple(map(max, pairs)))


Rule = Callable[[OnnxNode, list[Value]], Value]
"""What must hold of the inputs of a node, and what it makes of them."""

MOST_PRODUCTS = 2**40
"""Multiplications for one sample."""


@dataclass(frozen=True, kw_only=True)
class Operator:
    """What a file may do with one operator of the standard domain.

    Attributes:
        rule: how its nodes are checked.
        inputs: the fewest and the most.
        settings: names of the settings that it may have.
        own: whether it stands in files of our exporter only.
        weighted: whether its second input is the weight of a layer; only such a node has a layer's name.
        width: bytes that it makes of each element of the constants that it reads.
    """

    rule: Rule
    inputs: tuple[int, int]
    settings: frozenset[str] = frozenset()
    own: bool = False
    weighted: bool = False
    width: int = 0


_OF_LAYER = 16
"""Work for each weight of a layer: its sums are checked here, and its codes are recovered later."""


def followed(
    contents: Contents,
    operators: Mapping[str, Operator],
    idle: frozenset[str] = frozenset(),
    budget: Budget | None = None,
) -> dict[str, Value]:
    """Every value of a graph by name.

    Args:
        contents: as they were parsed.
        operators: the allow-list.
        idle: constants that may stand there unread.
        budget: of the file, in which a constant costs as often as nodes read it; None for what was counted before.

    Returns:
        Every value; in files of other quantizers one without a name stands for inputs that are left out.

    Raises:
        ModelError: naming the node, what was found and what was expected.
    """
    first, last = contents.ends
    values = {
        name: Value(kind=contents.kinds[name], shape=values.shape, constant=values)
        for name, values in contents.constants.items()
    }
    if first in values:
        raise ModelError(f"a constant is called {first!r}; expected that of the input alone")
    values[first] = activation("float32", contents.input_shape)
    unread = set(values) - idle
    if not contents.own:
        values[""] = NOTHING
    products = 0
    for node in contents.nodes:
        operator = operators.get(node.operator)
        if operator is None:
            raise ModelError(
                f"operator {node.operator[:80]!r} that makes {node.output!r} is not read; expected "
                f"{', '.join(operators)}"
            )
        (least, most), settings = operator.inputs, operator.settings
        require(least <= len(node.inputs) <= most, node, f"{least} to {most} inputs")
        require(
            set(node.settings) <= settings, node, f"settings {', '.join(sorted(settings)) or 'of no kind'}"
        )
        require(not node.layer or operator.weighted, node, f"no name, but {node.layer!r} is one of a layer")
        require(node.output not in values, node, "a name of its own for each value")
        require(values.keys() >= set(node.inputs), node, "inputs that were computed before")
        read = [values[name] for name in node.inputs]
        if budget is not None:
            _spend_on(node, operator, read, budget)
        values[node.output] = result = operator.rule(node, read)
        unread.difference_update(node.inputs)
        unread.add(node.output)
        if operator.weighted:  # the whole weight is multiplied with at each place
            weight, places = values[node.inputs[1]].shape, result.shape[1:]
            products += int(np.prod(weight, dtype=object) * np.prod(places, dtype=object))
    if unread != {last} or not values[last].flows:
        raise ModelError(f"{sorted(unread)[:3]} are not read by anything; expected that of {last!r} alone")
    if values[last].kind != "float32" or len(values[last].shape) != 1:
        raise ModelError(f"{last!r} is {values[last]}; expected a float32 row for each sample")
    if products > MOST_PRODUCTS:
        raise ModelError(f"{products} multiplications for a sample; expected at most {MOST_PRODUCTS}")
    return values


def _spend_on(node: OnnxNode, operator: Operator, read: list[Value], budget: Budget) -> None:
    """Count what a rule is about to cost: it passes over every constant that the node reads."""
    held = [value.codes if value.constant is None else value.constant for value in read]
    elements = sum(0 if values is None else values.size for values in held)
    listed = sum(
        value.constant.size for value in read if value.kind == "int64" and value.constant is not None
    )
    narrow = sum(  # codes that `Cast` left in fewer bytes than their type has
        value.constant.size
        for value in read
        if value.kind == "int32" and value.constant is not None and value.constant.itemsize < 4
    )
    width, passes = (2, _OF_LAYER) if operator.weighted else (operator.width, 1)  # a layer's codes are copied
    budget.spend(
        f"{node.operator} that makes {node.output!r}",
        memory=2 * OBJECT
        + width * elements
        + 4 * narrow * (not width)
        + 40 * listed,  # sizes and places become numbers of Python
        work=(10 + len(read)) * STEP + passes * elements + 128 * listed,
    )
