"""Where only the deployed integers are left: a network that can be trained from them, and its integers again.

The latent weight of a code is code x scale, the bias its integer in real units. Batch norm was folded into both
when the file was written and stays there: scales are step x abs(gamma / sigma), so one step in them is one
step of a code. What else the original's latent weights held, how far each lay from its neighbour, is lost.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, no_type_check

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor, nn

from obliq.errors import ModelError
from obliq.exporting.graph import Graph
from obliq.exporting.grids import Grid, Weights
from obliq.exporting.operations import Layer, Step
from obliq.quantization import (
    IntegerTensor,
    QuantizedActivation,
    QuantizedWeight,
    load_integer_state,
    weight_codes,
)
from obliq.quantization.learned_step import SMALLEST_STEP


class RebuiltNetwork(nn.Module):
    """Steps that compute in real numbers and can be trained; there is no batch norm.

    Attributes:
        steps: what is computed, in order.
        layers: what steps with weights train, by the number of their step.
        quantizers: what rounds the results of steps, by the same numbers.
        ranges: between which values results are clamped before that.
        input_name: what steps call the input; a step without sources reads it too.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        quantizers: Mapping[int, nn.Module],
        ranges: Mapping[int, tuple[float, float]],
        input_name: str = "",
    ) -> None:
        super().__init__()
        self.steps, self.ranges, self.input_name = tuple(steps), dict(ranges), input_name
        self.layers = nn.ModuleDict({str(number): step.trainable() for number, step in _layers(steps)})
        self.quantizers = nn.ModuleDict({str(number): one for number, one in quantizers.items()})

    @no_type_check
    def forward(self, inputs: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch classes"]:
        """The logits."""
        results, value = {self.input_name: inputs}, inputs
        layers, quantizers = dict(self.layers.items()), dict(self.quantizers.items())
        for number, step in enumerate(self.steps):
            read = [results[name] for name in step.sources] or [inputs]
            value = step.in_reals(read, layers.get(str(number)))
            if number in self.ranges:
                value = value.clamp(*self.ranges[number])
            if str(number) in quantizers:
                value = quantizers[str(number)](value)
            results[step.name] = value
        return value


def rebuild_network(graph: Graph) -> RebuiltNetwork:
    """The trainable network of a graph; on the same inputs its codes are the graph's, but for the order of sums.

    Raises:
        ModelError: when a scale or a code cannot be.
    """
    grids = {number: step.grid for number, step in enumerate(graph.steps) if not step.moves}
    quantizers = {number: QuantizedActivation(grid.bits, grid.signed) for number, grid in grids.items()}
    ranges = {number: (grid.low * grid.scale, grid.high * grid.scale) for number, grid in grids.items()}
    steps: dict[str, IntegerTensor] = {}
    for number, grid in grids.items():
        scale = torch.tensor(grid.scale, dtype=torch.float32)
        steps[f"quantizers.{number}"] = IntegerTensor(None, scale, 0, grid.bits, None, grid.signed)
    return with_integers(RebuiltNetwork(graph.steps, quantizers, ranges), steps)


def with_integers(network: RebuiltNetwork, steps: Mapping[str, IntegerTensor]) -> RebuiltNetwork:
    """The network with the codes, scales and biases of its steps, in evaluation mode.

    Args:
        network: just built.
        steps: of quantizers that learn one, by name.

    Raises:
        ModelError: when a scale or a code cannot be.
    """
    integers, floats = dict(steps), dict[str, Tensor]()
    for number, layer in _layers(network.steps):
        weights = layer.weights
        codes, scales = torch.from_numpy(weights.codes.copy()), torch.from_numpy(weights.scale.copy())
        axis = 0 if scales.dim() else None
        integers[f"layers.{number}.weight"] = IntegerTensor(codes, scales, 0, weights.bits, axis, True)
        floats[f"layers.{number}.bias"] = torch.from_numpy(weights.real_bias.astype(np.float32))
    loaded = load_integer_state(network, integers, floats)
    assert isinstance(loaded, RebuiltNetwork)
    return loaded.eval()


def graph_with_weights(graph: Graph, network: nn.Module) -> Graph:
    """The graph with the codes and biases of a network that was rebuilt from it and then trained.

    Names, scales and grids stay.

    Raises:
        ModelError: when the network is of another graph, or its grid was moved.
    """
    rebuilt = require_rebuilt(graph.steps, network)
    for number, quantizer in rebuilt.quantizers.items():
        assert isinstance(quantizer, QuantizedActivation)
        step = graph.steps[int(number)]
        _require_same_grid(step.name, quantizer.step, np.float32(step.grid.scale))
    trained = {layer.name: (codes, bias) for _, layer, codes, bias in trained_weights(rebuilt)}

    def weights_of(layer: Layer, source: Grid) -> Weights:
        codes, bias = trained[layer.name]
        return dataclasses.replace(layer.weights, codes=codes).with_real_bias(bias, source)

    return graph.with_values(lambda step: step.grid, weights_of)


def require_rebuilt(steps: Sequence[Step], network: nn.Module) -> RebuiltNetwork:
    """A network that was rebuilt from such steps.

    Raises:
        ModelError: when it was not.
    """
    names = [step.name for step in steps]
    if not isinstance(network, RebuiltNetwork) or [step.name for step in network.steps] != names:
        raise ModelError("the network was not rebuilt from this file; expected one that was")
    return network


def trained_weights(network: RebuiltNetwork) -> Iterator[tuple[int, Layer, ndarray, ndarray]]:
    """The codes and the float64 biases of each layer after training, with its step and the number of that.

    Channels whose scale is too fine for training (a gamma of zero) keep their codes: nothing they hold reaches an
    activation.

    Raises:
        ModelError: when the grid of weights was moved.
    """
    for number, step in _layers(network.steps):
        layer, before = network.layers[str(number)], step.weights
        assert isinstance(layer, QuantizedWeight)
        assert isinstance(layer.bias, nn.Parameter)
        _require_same_grid(step.path, layer.weight_step, before.scale)
        codes = weight_codes(layer).cpu().numpy()
        usable = (before.scale >= SMALLEST_STEP).reshape(-1, *(1,) * (codes.ndim - 1))
        bias = layer.bias.detach().cpu().double().numpy()
        yield number, step, np.where(usable, codes, before.codes), bias


def _layers(steps: Sequence[Step]) -> Iterator[tuple[int, Layer]]:
    return ((number, step) for number, step in enumerate(steps) if isinstance(step, Layer))


def _require_same_grid(name: str, step: Tensor, scale: Any) -> None:
    """Raise unless a learned step is still the scale that it started from."""
    if not np.array_equal(step.detach().cpu().numpy(), scale):
        raise ModelError(
            f"the grid of {name} was moved; expected a method that keeps it, as oeu --steps frozen"
        )
