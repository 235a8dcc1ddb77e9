"""A network that can be trained, from the codes and scales in a file of another quantizer.

Each node of the graph is computed in real numbers, as ONNX defines it: rounding an activation to bytes and back
is rounding it to the file's grid, which is fixed. The latent weight of a code is code x scale.
"""

import functools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray
from torch import nn

from obliq.errors import ModelError
from obliq.exporting.grids import Grid, Weights, in_units
from obliq.exporting.onnx.contents import Contents, OnnxNode
from obliq.exporting.operations import IN_FILES, Step, step_of
from obliq.exporting.operations.step import Codes, Reals
from obliq.exporting.qdq.check import QDQ_RULES
from obliq.exporting.qdq.parse import tree
from obliq.exporting.rebuild import (
    RebuiltNetwork,
    require_rebuilt,
    trained_weights,
    with_integers,
)
from obliq.quantization.learned_step import fake_quantize

_LOWEST = {"uint8": 0, "int8": -128}
_NOWHERE = Grid(scale=1.0, bits=8, signed=True, low=-128, high=127)
"""The grid of a step that is not rounded: other quantizers round where they like."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Elementwise(Step):
    """A node that treats each value alone: a rectifier, a clamp, a rounding, or only another name.

    Attributes:
        operator: of the node.
        range: between which values it clamps, or codes it rounds.
        step: of the grid that it rounds to, which is the file's and cannot be trained.
    """

    operator: str
    range: tuple[float, float] = (0, 0)
    step: float = 1.0

    def in_numpy(self, read: list[Codes], grids: list[Grid]) -> Codes:
        """Never called: rounding is not at the end of each step in these files."""
        raise NotImplementedError

    def in_reals(self, read: list[Reals], layer: nn.Module | None) -> Reals:
        """The function of each value."""
        (low, high), values = self.range, read[0]
        match self.operator:
            case "Relu":  # its gradient at 0 is 0; that of a clamp is 1
                return values.relu()
            case "Clip":
                return values.clamp(low, high)
            case "QuantizeLinear":  # halves go to the even code; the gradient passes within the grid
                return fake_quantize(values, values.new_tensor(self.step), int(low), int(high), 1.0)
            case _:
                return values


def rebuild_foreign(contents: Contents) -> RebuiltNetwork:
    """The trainable network of a file.

    Args:
        contents: as `foreign_contents` checked them.

    Raises:
        ModelError: when layers share weights, or a scale cannot be trained on.
    """
    return with_integers(RebuiltNetwork(_steps(contents), {}, {}, contents.ends[0]), {})


def file_with_weights(data: bytes, contents: Contents, network: nn.Module) -> bytes:
    """The file with the codes and biases of a network that was rebuilt from it and then trained.

    Args:
        data: the file that the network was rebuilt from.
        contents: what was read from it.
        network: as `rebuild_foreign` built it, trained on the grid that it has.

    Raises:
        ModelError: when the network is of another file, its grid was moved, or a bias does not lie in raw bytes.
    """
    parts, nodes = _parts(contents), {node.output: node for node in contents.nodes}
    changed: dict[str, ndarray] = {}
    for _, layer, codes, real in trained_weights(require_rebuilt(_steps(contents), network)):
        (weight, _), (bias, unit) = (_stored(contents, parts, name) for name in nodes[layer.name].inputs[1:])
        changed[weight] = codes
        changed[bias] = real.astype(np.float32) if unit is None else in_units(real, unit)
    return _replaced(data, changed)


def _steps(contents: Contents) -> list[Step]:
    """What each node that depends on the input computes, in the order of nodes."""
    weights, known = _weights(contents), {contents.ends[0]}
    steps: list[Step] = []
    for node in contents.nodes:
        sources, operator = tuple(name for name in node.inputs if name in known), QDQ_RULES[node.operator]
        if sources:
            known.add(node.output)
            fields: dict[str, Any] = {"name": node.output, "path": repr(node.output), "sources": sources}
            fields["grid"] = _NOWHERE
            if operator.weighted:
                fields["weights"] = weights[node.output]
            in_files = node.operator in IN_FILES
            build = functools.partial(step_of, operator=operator) if in_files else _elementwise
            steps.append(build(node, contents, **fields))
    return steps


def _elementwise(node: OnnxNode, contents: Contents, **fields: Any) -> Elementwise:
    if node.operator in ("Clip", "QuantizeLinear"):
        first, second = (contents.constants[name].reshape(()) for name in node.inputs[1:])
        fields["range"] = float(first), float(second)
    if node.operator == "QuantizeLinear":
        lowest = _LOWEST[contents.kinds[node.inputs[2]]] - int(second)
        fields |= {"step": float(first), "range": (lowest, lowest + 255)}
    return Elementwise(**fields, operator=node.operator)


def _parts(contents: Contents) -> dict[str, OnnxNode]:
    """The nodes that turn constant codes into real numbers, by the name of those."""
    return {
        node.output: node
        for node in contents.nodes
        if node.operator == "DequantizeLinear" and node.inputs[0] in contents.constants
    }


def _stored(contents: Contents, parts: Mapping[str, OnnxNode], name: str) -> tuple[str, ndarray | None]:
    """The constant behind a real weight or bias, and its scales, one an output or one for all."""
    if name not in parts:
        return name, None
    constant, scale = parts[name].inputs[0], contents.constants[parts[name].inputs[1]]
    per_output = "axis" in parts[name].settings and scale.shape == contents.constants[constant].shape[:1]
    return constant, scale if per_output else scale.reshape(())


def _weights(contents: Contents) -> dict[str, Weights]:
    """The numbers of each layer, by the name of what its node computes.

    Raises:
        ModelError: when a constant of a layer is read elsewhere too, since it could not be replaced alone.
    """
    parts, constants = _parts(contents), contents.constants
    uses = Counter(name for node in contents.nodes for name in node.inputs)
    found: dict[str, Weights] = {}
    for node in (node for node in contents.nodes if QDQ_RULES[node.operator].weighted):
        (weight, scale), (bias, unit) = (_stored(contents, parts, name) for name in node.inputs[1:])
        for name, constant in zip(node.inputs[1:], (weight, bias), strict=True):
            if uses[name] > 1 or uses[constant] > 1:
                raise ModelError(
                    f"{node.operator} that makes {node.output!r} shares {name!r} with another node; expected "
                    "weights and biases of its own"
                )
        assert scale is not None
        real = constants[bias].astype(np.float64) * (1.0 if unit is None else unit.astype(np.float64))
        found[node.output] = Weights(
            codes=constants[weight], scale=scale.astype(np.float32), bits=8, refinement=1, real_bias=real
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
