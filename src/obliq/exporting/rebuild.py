"""Where only the deployed integers are left: a network that can be trained from them, and the file again.

The latent weight of a code is code x scale, the bias its integer in real units. Batch norm was folded into both
when the file was written and stays there: scales are step x |gamma / sigma|, so one step in them is one
step of a code. What the original's latent weights knew besides, how far each lay from its neighbour, is lost.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, no_type_check

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor, nn

from obliq.errors import ModelError
from obliq.exporting.graph import (
    Add,
    AveragePool,
    Convolution,
    Flatten,
    Graph,
    Linear,
    MaxPool,
    Quantize,
    Step,
    Weights,
)
from obliq.exporting.torch_interpreter import AVERAGE, LARGEST, padded
from obliq.quantization import (
    IntegerTensor,
    QuantizedActivation,
    QuantizedConv1d,
    QuantizedConv2d,
    QuantizedLinear,
    QuantizedWeight,
    load_integer_state,
    weight_codes,
)
from obliq.quantization.learned_step import SMALLEST_STEP

_LARGEST = 2**31 - 1


def layer_like(codes: tuple[int, ...], bits: int, **options: Any) -> QuantizedWeight:
    """A linear layer or convolution for codes of a shape, outputs first; it does not pad.

    Args:
        codes: their shape.
        bits: of the weights.
        options: of the layer's constructor, such as `stride`, `groups` and `weight_grid`.
    """
    if len(codes) == 2:
        return QuantizedLinear(codes[1], codes[0], bits=bits, **options)
    kind = QuantizedConv1d if len(codes) == 3 else QuantizedConv2d
    return kind(codes[1] * options.get("groups", 1), codes[0], codes[2:], bits=bits, **options)


def trained_codes(layer: QuantizedWeight, scale: ndarray, before: ndarray) -> ndarray:
    """The layer's codes; channels whose scale is too fine for training keep those from before."""
    codes = weight_codes(layer).cpu().numpy()
    usable = (scale >= SMALLEST_STEP).reshape(-1, *(1,) * (codes.ndim - 1))
    return np.where(usable, codes, before)


def trained_bias(layer: QuantizedWeight) -> ndarray:
    """The layer's bias in real numbers, float64."""
    assert isinstance(layer.bias, nn.Parameter)
    real: ndarray = layer.bias.detach().cpu().double().numpy()
    return real


def in_units(bias: ndarray, unit: ndarray) -> ndarray:
    """A bias as int32 multiples of a unit."""
    return np.clip(np.rint(bias / unit.astype(np.float64)), -_LARGEST, _LARGEST).astype(np.int32)


def require_same_grid(name: str, step: Tensor, scale: Any) -> None:
    """Raise unless a learned step is still the scale that it was made from.

    Raises:
        ModelError: naming whose grid was moved.
    """
    if not np.array_equal(step.detach().cpu().numpy(), scale):
        raise ModelError(
            f"the grid of {name} was moved; expected a method that keeps it, as oeu --steps frozen"
        )


class FileNetwork(nn.Module):
    """A graph of integer steps that computes in real numbers and can be trained; it has no batch norm.

    Attributes:
        graph: what it was made from.
        layers: the convolutions and linear layers, by the number of their step.
        quantizers: the activation quantizers, by the same numbers.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        self.layers = nn.ModuleDict()
        self.quantizers = nn.ModuleDict()
        for number, step in enumerate(graph.steps):
            if isinstance(step, Convolution | Linear):
                self.layers[str(number)] = _layer(step)
            if not isinstance(step, MaxPool | Flatten):
                self.quantizers[str(number)] = QuantizedActivation(step.grid.bits, step.grid.signed)

    @no_type_check
    def forward(self, inputs: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch classes"]:
        """The logits."""
        made = {}
        layers, quantizers = dict(self.layers.items()), dict(self.quantizers.items())
        for number, step in enumerate(self.graph.steps):
            read = [made[name] for name in step.sources] or [inputs]
            value = _COMPUTED[type(step)](step, layers.get(str(number)), read)
            if str(number) in quantizers:
                low, high = step.grid.low * step.grid.scale, step.grid.high * step.grid.scale
                value = quantizers[str(number)](value.clamp(low, high))
            made[step.name] = value
        return made[self.graph.result.name]


def rebuild_network(graph: Graph) -> FileNetwork:
    """The trainable network of a graph; on the same inputs its codes are the graph's, but for the order of sums.

    Raises:
        ModelError: when a scale or a code cannot be.
    """
    network = FileNetwork(graph)
    integers: dict[str, IntegerTensor] = {}
    floats: dict[str, Tensor] = {}
    for number, step in enumerate(graph.steps):
        if not isinstance(step, MaxPool | Flatten):
            scale = torch.tensor(step.grid.scale, dtype=torch.float32)
            integers[f"quantizers.{number}"] = IntegerTensor(
                None, scale, 0, step.grid.bits, None, step.grid.signed
            )
        if isinstance(step, Convolution | Linear):
            weights = step.weights
            codes, scales = torch.from_numpy(weights.codes), torch.from_numpy(weights.scale.copy())
            integers[f"layers.{number}.weight"] = IntegerTensor(codes, scales, 0, weights.bits, 0, True)
            floats[f"layers.{number}.bias"] = torch.from_numpy(weights.real_bias.astype(np.float32))
    loaded = load_integer_state(network, integers, floats)
    assert isinstance(loaded, FileNetwork)
    return loaded.eval()


def graph_with_weights(graph: Graph, network: nn.Module) -> Graph:
    """The graph with the codes and biases of a network that was rebuilt from it and then trained.

    Names, scales and grids stay. Channels whose scale is too fine for training (a gamma of zero) keep their
    codes: nothing they hold reaches an activation.

    Raises:
        ModelError: when the network is of another graph, or its grid was moved.
    """
    names = [step.name for step in graph.steps]
    if not isinstance(network, FileNetwork) or [step.name for step in network.graph.steps] != names:
        raise ModelError("the network was not rebuilt from this file; expected one that was")
    steps: list[Step] = []
    for number, step in enumerate(graph.steps):
        key = str(number)
        if key in network.quantizers:
            quantizer = network.quantizers[key]
            assert isinstance(quantizer, QuantizedActivation)
            require_same_grid(step.name, quantizer.step, np.float32(step.grid.scale))
        if isinstance(step, Convolution | Linear):
            layer = network.layers[key]
            assert isinstance(layer, QuantizedWeight)
            require_same_grid(step.path, layer.weight_step, step.weights.scale)
            source = graph[step.sources[0]]
            step = dataclasses.replace(step, weights=_weights(step.weights, layer, source))
        steps.append(step)
    return dataclasses.replace(graph, steps=tuple(steps))


def _weights(before: Weights, layer: QuantizedWeight, source: Step) -> Weights:
    bias = trained_bias(layer)
    return dataclasses.replace(
        before, codes=trained_codes(layer, before.scale, before.codes), real_bias=bias,
        bias=in_units(bias, before.bias_scale(source.grid)),
    )  # fmt: skip


def _layer(step: Convolution | Linear) -> QuantizedWeight:
    shape, bits = step.weights.codes.shape, step.weights.bits
    if isinstance(step, Linear):
        return layer_like(shape, bits)
    return layer_like(shape, bits, stride=step.stride, dilation=step.dilation, groups=step.groups)


def _convolved(step: Convolution, layer: nn.Module, read: list[Tensor]) -> Tensor:
    made: Tensor = layer(padded(read[0], step.padding))
    return made


def _averaged(step: AveragePool, layer: None, read: list[Tensor]) -> Tensor:
    if step.kernel is None:
        return read[0].mean(dim=tuple(range(2, read[0].dim())), keepdim=True)
    return AVERAGE[len(step.kernel)](read[0], step.kernel, step.stride)


def _largest(step: MaxPool, layer: None, read: list[Tensor]) -> Tensor:
    return LARGEST[len(step.kernel)](read[0], step.kernel, step.stride, step.padding, step.dilation)


_COMPUTED: dict[type[Step], Callable[[Any, Any, list[Tensor]], Tensor]] = {
    Quantize: lambda step, layer, read: read[0],
    Convolution: _convolved,
    Linear: lambda step, layer, read: layer(read[0]),
    Add: lambda step, layer, read: read[0] + read[1],
    AveragePool: _averaged,
    MaxPool: _largest,
    Flatten: lambda step, layer, read: read[0].flatten(1),
}
