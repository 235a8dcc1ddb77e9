"""A network that can be trained, from the codes and scales in a file of another quantizer.

Each node of the graph is computed in real numbers, as ONNX defines it: rounding an activation to bytes and back
is rounding it to the file's grid, which is fixed. The latent weight of a code is code x scale.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor, nn

from obliq.errors import ModelError
from obliq.exporting.grids import Grid, Weights
from obliq.exporting.onnx.contents import Contents, OnnxNode
from obliq.exporting.qdq.check import QDQ_RULES
from obliq.exporting.qdq.parse import tree
from obliq.exporting.rebuild import (
    RealStep,
    RebuiltNetwork,
    in_units,
    require_rebuilt,
    trained_weights,
    with_integers,
)
from obliq.quantization.learned_step import fake_quantize

_LOWEST = {"uint8": 0, "int8": -128}
_NOWHERE = Grid(scale=1.0, bits=8, signed=True, low=-128, high=127)
"""The grid of a step that is not rounded: other quantizers round where they like."""


class FixedGrid(nn.Module):
    """Rounds to the grid of a file; nothing in it can be trained.

    Attributes:
        step: what one code stands for, without a shape.
        low: the smallest code, zero point subtracted.
        high: the largest one.
    """

    step: Tensor

    def __init__(self, step: float, low: int, high: int) -> None:
        super().__init__()
        self.low, self.high = low, high
        self.register_buffer("step", torch.tensor(step, dtype=torch.float32), persistent=False)

    def forward(self, input: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Halves go to the even code; the gradient passes within the grid."""
        return fake_quantize(input, self.step, self.low, self.high, 1.0)


@dataclass(frozen=True, kw_only=True)
class Elementwise:
    """A node that treats each value alone: a rectifier, a clamp, a rounding, or only another name.

    Attributes:
        node: the node.
        name: of what it makes.
        sources: name of what it reads.
        range: between which values it clamps.
    """

    node: OnnxNode
    name: str
    sources: tuple[str, ...]
    range: tuple[float, float]

    def in_reals(self, read: list[Tensor], layer: nn.Module | None) -> Tensor:
        """The values, before they are rounded where the node rounds."""
        if self.node.operator == "Relu":  # its gradient at 0 is 0; that of a clamp is 1
            return read[0].relu()
        return read[0].clamp(*self.range) if self.node.operator == "Clip" else read[0]


@dataclass(frozen=True, kw_only=True)
class LayerConstants:
    """Where the weight and the bias of a layer lie: each in a constant of its own.

    Attributes:
        weight: the constant with the weight's codes.
        bias: the constant with the bias, in codes or real numbers.
        unit: float32, of the bias's codes; None for real numbers.
        weights: the numbers of both.
    """

    weight: str
    bias: str
    unit: ndarray | None
    weights: Weights


def rebuild_foreign(contents: Contents) -> RebuiltNetwork:
    """The trainable network of a file.

    Args:
        contents: as `foreign_contents` checked them.

    Raises:
        ModelError: when layers share weights, or a scale cannot be trained on.
    """
    steps = _steps(contents)
    grids = {
        number: _fixed_grid(contents, step.node)
        for number, step in enumerate(steps)
        if isinstance(step, Elementwise) and step.node.operator == "QuantizeLinear"
    }
    return with_integers(RebuiltNetwork(steps, grids, {}, contents.ends[0]), {})


def file_with_weights(data: bytes, contents: Contents, network: nn.Module) -> bytes:
    """The file with the codes and biases of a network that was rebuilt from it and then trained.

    Args:
        data: the file that the network was rebuilt from.
        contents: what was read from it.
        network: as `rebuild_foreign` built it, trained on the grid that it has.

    Raises:
        ModelError: when the network is of another file, its grid was moved, or a bias does not lie in raw bytes.
    """
    steps, places = _steps(contents), _layer_constants(contents)
    changed: dict[str, ndarray] = {}
    for _, layer, codes, bias in trained_weights(require_rebuilt(steps, network)):
        place = places[layer.name]
        changed[place.weight] = codes
        changed[place.bias] = bias.astype(np.float32) if place.unit is None else in_units(bias, place.unit)
    return _replaced(data, changed)


def _steps(contents: Contents) -> list[RealStep]:
    """What each node that depends on the input computes, in the order of nodes."""
    places, known = _layer_constants(contents), {contents.ends[0]}
    steps: list[RealStep] = []
    for node in contents.nodes:
        sources = tuple(name for name in node.inputs if name in known)
        operator = QDQ_RULES[node.operator]
        fields: dict[str, Any] = {"path": repr(node.output), "grid": _NOWHERE}
        if operator.weighted:
            fields["weights"] = places[node.output].weights
        if operator.step is not None:
            steps.append(operator.step(node, contents, name=node.output, sources=sources, **fields))
        elif sources:
            steps.append(_elementwise(node, contents, sources))
        known |= {node.output} if sources else set()
    return steps


def _elementwise(node: OnnxNode, contents: Contents, sources: tuple[str, ...]) -> Elementwise:
    low, high = -np.inf, np.inf
    if node.operator == "Clip":
        low, high = (float(contents.constants[name].reshape(())) for name in node.inputs[1:])
    return Elementwise(node=node, name=node.output, sources=sources, range=(low, high))


def _fixed_grid(contents: Contents, node: OnnxNode) -> FixedGrid:
    _, scale, zero = node.inputs
    lowest = _LOWEST[contents.kinds[zero]] - int(contents.constants[zero].reshape(()))
    return FixedGrid(float(contents.constants[scale].reshape(())), lowest, lowest + 255)


def _layer_constants(contents: Contents) -> dict[str, LayerConstants]:
    """By the name of what the layer's node makes.

    Raises:
        ModelError: when a constant of a layer is read elsewhere too, since it could not be replaced alone.
    """
    constants = contents.constants
    parts = {
        node.output: node
        for node in contents.nodes
        if node.operator == "DequantizeLinear" and node.inputs[0] in constants
    }
    uses = Counter(name for node in contents.nodes for name in node.inputs)

    def place(name: str) -> tuple[str, ndarray | None]:
        """The constant behind a real weight or bias, and its scales."""
        if name not in parts:
            return name, None
        constant, scale = parts[name].inputs[0], constants[parts[name].inputs[1]]
        per_output = "axis" in parts[name].settings and scale.shape == constants[constant].shape[:1]
        return constant, scale if per_output else scale.reshape(())

    found: dict[str, LayerConstants] = {}
    for node in (node for node in contents.nodes if QDQ_RULES[node.operator].weighted):
        (weight, scale), (bias, unit) = (place(name) for name in node.inputs[1:])
        for name, constant in zip(node.inputs[1:], (weight, bias), strict=True):
            if uses[name] > 1 or uses[constant] > 1:
                raise ModelError(
                    f"{node.operator} that makes {node.output!r} shares {name!r} with another node; expected "
                    "weights and biases of its own"
                )
        assert scale is not None
        real_bias = constants[bias].astype(np.float64)
        found[node.output] = LayerConstants(
            weight=weight,
            bias=bias,
            unit=unit,
            weights=Weights(
                codes=constants[weight],
                scale=scale.astype(np.float32),
                bits=8,
                refinement=1,
                bias=np.zeros(len(real_bias), np.int32),
                real_bias=real_bias if unit is None else real_bias * unit.astype(np.float64),
            ),
        )
    return found


def _replaced(data: bytes, changed: Mapping[str, ndarray]) -> bytes:
    """The bytes of a file with other values for some constants, in place."""
    copy = bytearray(data)
    for tensor in tree(memoryview(copy))["graph"]["constants"]:
        if tensor["name"] in changed:
            values = changed[tensor["name"]]
            raw = values.astype(values.dtype.newbyteorder("<")).tobytes()
            if tensor["raw"] is None or len(tensor["raw"]) != len(raw):
                raise ModelError(f"constant {tensor['name']!r} lies in a typed field; expected raw bytes")
            tensor["raw"][:] = raw
    return bytes(copy)
