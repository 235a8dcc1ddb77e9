"""A network whose biases are those that the device will add.

An exported layer adds an int32 bias to its accumulator, so what batch norm and bias shift by is
rounded to the accumulator's unit: by at most u/2, where u is input scale * weight scale / refinement.
In steps of the layer's output that is M/2 with M = u / output scale, and on average one output in 4/M
that is not clamped rounds the other way. In trained networks this is the whole difference between
training-time arithmetic and the integer file. Rounding the biases of the network itself removes it,
and whatever is then measured on the network holds for the file.
"""

import copy

import torch
from numpy import ndarray
from torch import fx, nn

from obliq.export.graph import Convolution, Graph, Linear
from obliq.quantization import weighted_layers
from obliq.quantization.operations import NORMALISATIONS, module_of, operation


def with_integer_biases(model: nn.Module, graph: Graph) -> nn.Module:
    """A copy of a network that shifts by exactly what the integer graph made from it adds.

    Codes and steps stay, so the copy has the same integer graph.

    Args:
        model: what `graph` was made from.
        graph: as `graph_of` makes it.
    """
    made = copy.deepcopy(model)
    assert isinstance(made, fx.GraphModule)
    norms = {
        str(node.all_input_nodes[0].target): module_of(node)
        for node in made.graph.nodes
        if operation(node) in NORMALISATIONS
    }
    layers = weighted_layers(made)
    with torch.no_grad():
        for step in graph.steps:
            if isinstance(step, Convolution | Linear):
                layer, norm = layers[step.path], norms.get(step.path)
                shift = torch.from_numpy(bias_rounding(graph, step))
                _shift(layer, norm, shift)
    return made


def bias_rounding(graph: Graph, step: Convolution | Linear) -> ndarray:
    """By how much each output's integer bias differs from the real one, in real units."""
    units = step.weights.bias_scale(graph[step.sources[0]].grid).astype(float)
    difference: ndarray = step.weights.bias * units - step.weights.real_bias
    return difference


def largest_bias_rounding(graph: Graph) -> float:
    """The most that any layer's output is shifted by rounding its bias, in steps of that output."""
    layers = [step for step in graph.steps if isinstance(step, Convolution | Linear)]
    return max(
        (float(abs(bias_rounding(graph, step)).max()) / step.grid.scale for step in layers), default=0.0
    )


def _shift(layer: nn.Module, norm: nn.Module | None, shift: torch.Tensor) -> None:
    """Add to what comes out of a layer and its batch norm, wherever they keep a constant."""
    if norm is not None and isinstance(norm.bias, nn.Parameter):
        norm.bias.copy_(norm.bias.double() + shift.to(norm.bias.device))
    elif norm is not None:
        mean, variance = norm.running_mean, norm.running_var
        assert isinstance(mean, torch.Tensor)
        assert isinstance(variance, torch.Tensor)
        mean.copy_(mean.double() - shift.to(mean.device) * (variance.double() + float(norm.eps)).sqrt())  # type: ignore[arg-type]
    elif isinstance(layer.bias, nn.Parameter):
        layer.bias.copy_(layer.bias.double() + shift.to(layer.bias.device))
