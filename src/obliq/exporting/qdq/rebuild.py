"""A network that can be trained, from the codes and scales in a file of another quantizer.

Each node of the graph is computed in real numbers, as ONNX defines it: rounding an activation to bytes and back
is rounding it to the file's grid, which is fixed. The latent weight of a code is code x scale.
"""

from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor, nn

from obliq.errors import ModelError
from obliq.exporting.onnx.contents import Contents, OnnxNode
from obliq.exporting.qdq.parse import tree
from obliq.exporting.rebuild import in_units, layer_like, require_same_grid, trained_bias, trained_codes
from obliq.exporting.torch_interpreter import AVERAGE, LARGEST, padded
from obliq.quantization import IntegerTensor, QuantizedWeight, load_integer_state
from obliq.quantization.learned_step import fake_quantize


def several(node: OnnxNode, name: str, otherwise: tuple[int, ...]) -> tuple[int, ...]:
    """A setting as a tuple."""
    found = node.settings.get(name, otherwise)
    return found if isinstance(found, tuple) else (found,)


def padding(node: OnnxNode, axes: int) -> tuple[tuple[int, int], ...]:
    """What stands before and after each axis of space."""
    pads = several(node, "pads", (0,) * 2 * axes)
    return tuple(zip(pads[:axes], pads[axes:], strict=True))


def bounds(node: OnnxNode, contents: Contents) -> tuple[float, float]:
    """The two constants that a value is clamped between."""
    low, high = (float(contents.constants[name].reshape(())) for name in node.inputs[1:])
    return low, high


def whole_axes(rank: int) -> tuple[int, ...]:
    """The axes of space of a batch of so many axes."""
    return tuple(range(2, rank))


_LOWEST = {"uint8": 0, "int8": -128}
WEIGHTED = ("Conv", "Gemm")


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


class ForeignNetwork(nn.Module):
    """The graph of a file, computed in real numbers.

    Attributes:
        contents: what it was made from.
        layers: convolutions and linear layers, by the number of their node.
        grids: what rounds activations, by the same numbers.
    """

    def __init__(self, contents: Contents) -> None:
        super().__init__()
        self.contents = contents
        self.stored = LayerConstants(contents)
        self.layers = nn.ModuleDict()
        self.grids = nn.ModuleDict()
        for number, node in enumerate(contents.nodes):
            if node.operator in WEIGHTED:
                self.layers[str(number)] = _layer(node, self.stored)
            if node.operator == "QuantizeLinear":
                self.grids[str(number)] = _grid(node, contents)

    def forward(self, inputs: Tensor) -> Tensor:
        """The logits, (batch, classes), for standardised inputs (batch, ...)."""
        first, last = self.contents.ends
        made = {first: inputs}
        modules = {**dict(self.layers.items()), **dict(self.grids.items())}
        for number, node in enumerate(self.contents.nodes):
            read = [made[name] for name in node.inputs if name in made]
            if str(number) in self.layers:
                made[node.output] = modules[str(number)](_padded(node, read[0]))
            elif str(number) in self.grids:
                made[node.output] = modules[str(number)](read[0])
            elif read:
                made[node.output] = _COMPUTED[node.operator](node, self.contents, read)
        return made[last]


class LayerConstants:
    """Where the weights and biases of a file lie: each in a constant of its own.

    Attributes:
        parts: the node that makes real numbers of a constant's codes, by the name of those.
    """

    def __init__(self, contents: Contents) -> None:
        self.contents = contents
        self.parts = {
            node.output: node
            for node in contents.nodes
            if node.operator == "DequantizeLinear" and node.inputs[0] in contents.constants
        }
        uses = Counter(name for node in contents.nodes for name in node.inputs)
        for node in contents.nodes:
            for name in node.inputs[1:] if node.operator in WEIGHTED else ():
                part = self.parts.get(name)
                shared = uses[name] > 1 or (part is not None and uses[part.inputs[0]] > 1)
                if shared:
                    raise ModelError(
                        f"{node.operator} that makes {node.output!r} shares {name!r} with another node; expected "
                        "weights and biases of its own"
                    )

    def constant(self, name: str) -> str:
        """The constant that a layer's weight or bias comes from."""
        return self.parts[name].inputs[0] if name in self.parts else name

    def scale(self, name: str) -> ndarray | None:
        """Its scales, (outputs) or a single one without a shape; None for a bias in real numbers."""
        if name not in self.parts:
            return None
        scale = self.contents.constants[self.parts[name].inputs[1]]
        per_output = self.contents.constants[self.constant(name)].shape[:1]
        return (
            scale if "axis" in self.parts[name].settings and scale.shape == per_output else scale.reshape(())
        )

    def real(self, name: str) -> ndarray:
        """A bias in real numbers, float64."""
        values, scale = self.contents.constants[self.constant(name)].astype(np.float64), self.scale(name)
        return values if scale is None else values * scale.astype(np.float64)


def rebuild_foreign(contents: Contents) -> ForeignNetwork:
    """The trainable network of a file.

    Args:
        contents: as `foreign_contents` checked them.

    Raises:
        ModelError: when layers share weights, or a scale cannot be trained on.
    """
    network = ForeignNetwork(contents)
    integers: dict[str, IntegerTensor] = {}
    floats: dict[str, Tensor] = {}
    for number, layer in network.layers.items():
        _, weight, bias = contents.nodes[int(number)].inputs
        assert isinstance(layer, QuantizedWeight)
        codes = contents.constants[network.stored.constant(weight)]
        scale = network.stored.scale(weight)
        assert scale is not None
        integers[f"layers.{number}.weight"] = IntegerTensor(
            torch.from_numpy(codes.copy()), torch.from_numpy(scale.astype(np.float32)), 0, 8, layer.channel_axis, True
        )  # fmt: skip
        floats[f"layers.{number}.bias"] = torch.from_numpy(network.stored.real(bias).astype(np.float32))
    loaded = load_integer_state(network, integers, floats)
    assert isinstance(loaded, ForeignNetwork)
    return loaded.eval()


def _layer(node: OnnxNode, stored: LayerConstants) -> QuantizedWeight:
    weight, scale = node.inputs[1], stored.scale(node.inputs[1])
    shape = stored.contents.constants[stored.constant(weight)].shape
    assert scale is not None
    grid = "per_channel" if scale.shape else "per_tensor"
    if node.operator == "Gemm":
        return layer_like(shape, 8, weight_grid=grid)
    ones = (1,) * (len(shape) - 2)
    return layer_like(
        shape, 8, weight_grid=grid, stride=several(node, "strides", ones),
        dilation=several(node, "dilations", ones), groups=several(node, "group", (1,))[0],
    )  # fmt: skip


def _grid(node: OnnxNode, contents: Contents) -> FixedGrid:
    _, scale, zero = node.inputs
    lowest = _LOWEST[contents.kinds[zero]] - int(contents.constants[zero].reshape(()))
    return FixedGrid(float(contents.constants[scale].reshape(())), lowest, lowest + 255)


def _padded(node: OnnxNode, source: Tensor) -> Tensor:
    if node.operator != "Conv":
        return source
    return padded(source, padding(node, source.dim() - 2))


def _max_pool(node: OnnxNode, contents: Contents, read: list[Tensor]) -> Tensor:
    kernel = several(node, "kernel_shape", ())
    ones = (1,) * len(kernel)
    source = padded(read[0], padding(node, len(kernel)), -torch.inf)
    return LARGEST[len(kernel)](
        source, kernel, several(node, "strides", ones), 0, several(node, "dilations", ones)
    )


def _average_pool(node: OnnxNode, contents: Contents, read: list[Tensor]) -> Tensor:
    kernel = several(node, "kernel_shape", ())
    return AVERAGE[len(kernel)](read[0], kernel, several(node, "strides", (1,) * len(kernel)))


def _mean(node: OnnxNode, contents: Contents, read: list[Tensor]) -> Tensor:
    keeps = node.operator == "GlobalAveragePool" or node.settings.get("keepdims", 1) == 1
    return read[0].mean(dim=whole_axes(read[0].dim()), keepdim=keeps)


_COMPUTED: dict[str, Callable[[OnnxNode, Contents, list[Tensor]], Tensor]] = {
    "DequantizeLinear": lambda node, contents, read: read[0],
    "Clip": lambda node, contents, read: read[0].clamp(*bounds(node, contents)),
    "Relu": lambda node, contents, read: read[0].relu(),
    "Add": lambda node, contents, read: read[0] + (read[1] if len(read) > 1 else read[0]),
    "AveragePool": _average_pool,
    "GlobalAveragePool": _mean,
    "ReduceMean": _mean,
    "MaxPool": _max_pool,
    "Flatten": lambda node, contents, read: read[0].flatten(1),
    "Reshape": lambda node, contents, read: read[0].flatten(1),
    "Identity": lambda node, contents, read: read[0],
}


def file_with_weights(data: bytes, contents: Contents, network: nn.Module) -> bytes:
    """The file with the codes and biases of a network that was rebuilt from it and then trained.

    Channels whose scale is too fine for training keep their codes.

    Args:
        data: the file that the network was rebuilt from.
        contents: what was read from it.
        network: as `rebuild_foreign` made it, trained on the grid that it has.

    Raises:
        ModelError: when the network is of another file, its grid was moved, or a bias does not lie in raw bytes.
    """
    if not isinstance(network, ForeignNetwork) or network.contents.nodes != contents.nodes:
        raise ModelError("the network was not rebuilt from this file; expected one that was")
    changed: dict[str, ndarray] = {}
    for number, layer in network.layers.items():
        node = contents.nodes[int(number)]
        _, weight, bias = node.inputs
        assert isinstance(layer, QuantizedWeight)
        scale = network.stored.scale(weight)
        assert scale is not None
        require_same_grid(repr(node.output), layer.weight_step, scale)
        name = network.stored.constant(weight)
        changed[name] = trained_codes(layer, scale, contents.constants[name])
        real, unit = trained_bias(layer), network.stored.scale(bias)
        changed[network.stored.constant(bias)] = (
            real.astype(np.float32) if unit is None else in_units(real, unit)
        )
    return _replaced(data, changed)


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
