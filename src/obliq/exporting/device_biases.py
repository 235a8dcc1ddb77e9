"""A network whose biases are those that the device will add.

An exported layer adds an int32 bias to its accumulator, so what batch norm and bias shift by is
rounded to the accumulator's unit: by at most u/2, where u is input scale * weight scale / refinement.
In steps of the layer's output that is M/2 with M = u / output scale, and on average one output in 4/M
that is not clamped rounds the other way. So, for equal inputs, a layer's codes differ by at most
ceil(M/2) steps, which was one step in every trained network measured (see
benchmarks/results/export_parity.md). Over several layers there is no useful bound: the shift is the same
at every position of a channel, averages keep it, and one code of a pooled 4-bit activation moves every
logit. Rounding the biases of the network itself removes the difference instead of bounding it, and
whatever is then measured on the network holds for the file, but for codes at the very half, which
float32 sums in PyTorch round the other way now and then: see `obliq.exporting.torch_interpreter`, which has none.
"""

import copy
from collections.abc import Sequence

import torch
from numpy import ndarray
from torch import fx, nn

from obliq.exporting.from_network import graph_of
from obliq.exporting.graph import Graph
from obliq.exporting.operations import Layer
from obliq.quantization import weighted_layers
from obliq.quantization.operations import NORMALISATIONS, module_of, operation, past_transparent

_ROUNDING = 2.0**-23
"""A shift of less than this share of a float32 number is its own rounding."""


def deployed(model: nn.Module, input_shape: Sequence[int]) -> nn.Module:
    """A copy of a network that computes in PyTorch what its exported file computes on a device.

    Codes and learned steps are those of `model`, biases lie on the device's grid. The copy exports to the
    same bytes, and doing it twice changes nothing more. An audit of the copy is an audit of the file;
    one of `model` is not quite, see `obliq.exporting.parity`.

    Args:
        model: quantized with the `deploy` preset and calibrated; left untouched.
        input_shape: of one sample, channels first.

    Raises:
        ModelError: naming the layer that cannot be exported.
    """
    return with_integer_biases(model, graph_of(model, input_shape))


def with_integer_biases(model: nn.Module, graph: Graph) -> nn.Module:
    """A copy of a network that shifts by exactly what the integer graph of it adds.

    Codes and steps stay, so the copy has the same integer graph.

    Args:
        model: what `graph` was built from.
        graph: as `graph_of` makes it.
    """
    shifted = copy.deepcopy(model)
    assert isinstance(shifted, fx.GraphModule)
    norms: dict[str, nn.Module] = {}
    for node in shifted.graph.nodes:
        if operation(node) in NORMALISATIONS:
            norms[str(node.target)] = module_of(node)  # of its own, or folded into the layer in front of it
            norms[str(past_transparent(node.all_input_nodes[0]).target)] = module_of(node)
    layers = weighted_layers(shifted)
    with torch.no_grad():
        for step in graph.layers:
            layer, shift = layers.get(step.path), torch.from_numpy(bias_rounding(graph, step))
            if isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d):
                shift = shift.reshape(layer.out_channels, -1)[:, 0]  # the same for all phases of an output
            _shift(layer, norms.get(step.path), shift)
    return shifted


def bias_rounding(graph: Graph, step: Layer) -> ndarray:
    """By how much each output's integer bias differs from the real one, in real units."""
    units = step.weights.bias_scale(graph[step.sources[0]].grid).astype(float)
    difference: ndarray = step.weights.bias * units - step.weights.real_bias
    return difference


def largest_bias_rounding(graph: Graph) -> float:
    """The most that any layer's output is shifted by rounding its bias, in steps of that output."""
    shifts = (float(abs(bias_rounding(graph, step)).max()) / step.grid.scale for step in graph.layers)
    return max(shifts, default=0.0)


def _shift(layer: nn.Module | None, norm: nn.Module | None, shift: torch.Tensor) -> None:
    """Add to what comes out of a layer and its batch norm, wherever they keep a constant."""
    if norm is not None and isinstance(norm.bias, nn.Parameter):
        _add(norm.bias, shift)
    elif norm is not None:
        mean, variance = norm.running_mean, norm.running_var
        assert isinstance(mean, torch.Tensor)
        assert isinstance(variance, torch.Tensor)
        deviation = (variance.double() + float(norm.eps)).sqrt()  # type: ignore[arg-type]
        _add(mean, -shift.to(mean.device) * deviation)
    elif layer is not None and isinstance(layer.bias, nn.Parameter):
        _add(layer.bias, shift)


def _add(constant: torch.Tensor, shift: torch.Tensor) -> None:
    shift = shift.to(constant.device)
    kept = shift.abs() <= _ROUNDING * constant.double().abs()
    constant.copy_(torch.where(kept, constant.double(), constant.double() + shift))
