"""Where the weights and biases of layers lie in a file of another quantizer, and how others take their place.

From the input of a layer back to a constant there may be dequantizing, clamping, transposition, and rounding, where a
file holds real weights that it rounds when it runs.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy import ndarray

from obliq.errors import ModelError
from obliq.exporting.grids import Weights, in_units
from obliq.exporting.onnx.check_graph import Value
from obliq.exporting.onnx.contents import Contents, OnnxNode
from obliq.exporting.operations.layer import bits_within
from obliq.exporting.qdq.computed import along, reals_of
from obliq.quantization.precision import weight_range


@dataclass(frozen=True, kw_only=True)
class StoredLayer:
    """The numbers of one layer.

    Attributes:
        codes: with the outputs first.
        weights: the same for training, whose range is symmetric: there -128 is -127.
        weight: name of the constant that holds them.
        bias: name of that of the bias; None where there is none.
        unit: of a bias in whole numbers; None for one in real numbers.
        transposed: whether the constant has the outputs last.
        rounds: whether it holds real numbers, which the file rounds.
        names: of everything that lies between the layer and its constants, those included.
    """

    codes: ndarray = field(repr=False)
    weights: Weights = field(repr=False)
    weight: str
    bias: str | None
    unit: ndarray | None = field(repr=False)
    transposed: bool
    rounds: bool
    names: tuple[str, ...]

    def changed(self, constants: Mapping[str, ndarray], codes: ndarray, bias: ndarray) -> dict[str, ndarray]:
        """The constants that hold other codes and another bias, by name; real numbers stay where codes do.

        Args:
            constants: those of the file.
            codes: int8, outputs first.
            bias: float64, one an output.
        """
        stays = codes == self.weights.codes
        found = np.where(stays, self.codes, codes)
        if self.rounds:
            scale = along(self.weights.scale, 0, codes.ndim)
            reals = constants[self.weight].T if self.transposed else constants[self.weight]
            found = np.where(stays, reals, codes.astype(np.float32) * scale).astype(np.float32)
        changed = {self.weight: found.T if self.transposed else found}
        if self.bias is not None:
            held = constants[self.bias]
            new = bias.astype(np.float32) if self.unit is None else in_units(bias, self.unit)
            changed[self.bias] = new.reshape(held.shape)
        return changed


def stored_layer(node: OnnxNode, contents: Contents, values: Mapping[str, Value]) -> StoredLayer:
    """The numbers of the layer that a node is.

    Args:
        node: checked.
        contents: the file's.
        values: what is known of each value.

    Raises:
        ModelError: when a weight or a bias is computed in another way than by rounding.
    """
    weight, *biases = node.inputs[1:]
    name, path = _constant(weight, contents)
    value = values[weight]
    stored, scale = value.coded
    outputs_last = node.operator == "MatMul" or (
        node.operator == "Gemm" and node.settings.get("transB", 0) == 0
    )
    turned = sum(one.operator == "Transpose" for one in path) % 2 == 1
    names = [weight, *(one.output for one in path), name]  # which nothing else may read
    bias, unit, real = None, None, np.zeros(stored.shape[1 if outputs_last else 0])
    if biases and biases[0]:
        given = values[biases[0]]
        bias, through = _constant(biases[0], contents)
        names += [biases[0], *(one.output for one in through), bias]
        if given.codes is not None:
            held, unit = given.coded
            real = held.astype(np.float64) * unit.astype(np.float64)
        else:
            real = np.asarray(reals_of(given), np.float64)
    codes, bits = stored.T if outputs_last else stored, bits_within(node, value.span)
    weights = Weights(
        codes=np.ascontiguousarray(np.maximum(codes, weight_range(bits)[0]).astype(np.int8)),
        scale=scale.astype(np.float32),
        bits=bits,
        refinement=1,
        real_bias=real,
    )
    return StoredLayer(
        codes=codes,
        weights=weights,
        weight=name,
        bias=bias,
        unit=unit,
        transposed=outputs_last != turned,
        rounds=any(one.operator == "QuantizeLinear" for one in path),
        names=tuple(names),
    )


def require_unshared(layers: Mapping[str, StoredLayer], contents: Contents) -> None:
    """Raise when a constant of a layer is read elsewhere too, since it could not be replaced alone.

    Args:
        layers: by the name of what they compute.
        contents: the file's.

    Raises:
        ModelError: naming the layer and what it shares.
    """
    uses = Counter(name for one in contents.nodes for name in one.inputs)
    for output, layer in layers.items():
        for name in layer.names:
            if uses[name] > 1:
                raise ModelError(
                    f"{contents.makers[output].operator} that makes {output!r} shares {name!r} with another node; "
                    "expected weights and biases of its own"
                )


def _constant(name: str, contents: Contents) -> tuple[str, list[OnnxNode]]:
    """The constant behind a value, and the nodes between."""
    path: list[OnnxNode] = []
    for node in contents.way_to_constant(name):
        if node.operator not in ("DequantizeLinear", "QuantizeLinear", "Clip", "Identity", "Transpose"):
            raise ModelError(
                f"{node.operator} that makes {node.output!r} computes what a layer multiplies with or adds; expected "
                "stored weights and biases"
            )
        path.append(node)
    return path[-1].inputs[0] if path else name, path
