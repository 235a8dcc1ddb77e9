"""A transposed convolution becomes an ordinary one and steps that move codes, and computes the same."""

import functools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.exporting import Graph, deployed, exact, export_file, graph_of, interpreter
from obliq.exporting.operations import Flatten, Layer
from obliq.quantization import QuantizedWeight, calibrate_steps, quantize, weight_codes

pytest.importorskip("onnx", reason="the extra `onnx` is not installed")

SIZES: dict[str, tuple[type[nn.Module], tuple[int, ...], dict[str, Any]]] = {
    "the stride is the kernel": (nn.ConvTranspose2d, (3, 4), {"kernel_size": 2, "stride": 2}),
    "the kernel is no multiple": (
        nn.ConvTranspose2d,
        (3, 4),
        {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1},
    ),
    "nothing is enlarged": (nn.ConvTranspose2d, (5, 4), {"kernel_size": (3, 1), "padding": (2, 0)}),
    "all sizes differ": (
        nn.ConvTranspose2d,
        (3, 5),
        {"kernel_size": (5, 2), "stride": (3, 2), "padding": (4, 1), "dilation": (1, 3), "groups": 2},
    ),
    "places that no input reaches": (
        nn.ConvTranspose1d,
        (4,),
        {"kernel_size": 1, "stride": 3, "output_padding": 2},
    ),
    "a signal with gaps": (
        nn.ConvTranspose1d,
        (6,),
        {"kernel_size": 3, "stride": 2, "dilation": 2, "groups": 2},
    ),
}


@functools.cache
def network(name: str, precision: str) -> tuple[nn.Module, Tensor, Graph]:
    """The layer with a batch norm, a rectifier and a linear layer behind it; its batch norm turns some signs."""
    kind, size, settings = SIZES[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        inputs, layer = torch.randn(8, 4, *size), kind(4, 6, **settings)
        norm = nn.BatchNorm2d(6) if len(size) == 2 else nn.BatchNorm1d(6)
        nn.init.normal_(norm.weight)
        features = layer(inputs).flatten(1).shape[1]
        float_network = nn.Sequential(layer, norm, nn.ReLU(), nn.Flatten(), nn.Linear(features, 3))
        model = quantize(float_network, precision, input_shape=(4, *size))
        calibrate_steps(model, inputs)
        model(inputs)
    return model.eval(), inputs, graph_of(model, (4, *size))


@pytest.mark.parametrize("precision", ["W8A8", "W4A4"])
@pytest.mark.parametrize("name", SIZES)
def test_its_codes_are_rounded_sums_of_torchs_own_transposed_convolution(name: str, precision: str) -> None:
    model, inputs, graph = network(name, precision)
    codes = interpreter.run(graph, inputs.numpy())
    first, computing = graph.steps[:2]
    flat = next(step for step in graph.steps if isinstance(step, Flatten))
    layer = model.get_submodule("0")
    assert isinstance(computing, Layer)
    assert isinstance(layer, QuantizedWeight)
    signs = np.sign(model.get_submodule("1").weight.detach().numpy())  # of a batch norm, which codes take up
    axes = (-1, *(1 for _ in inputs.shape[2:]))
    function = F.conv_transpose1d if inputs.dim() == 3 else F.conv_transpose2d
    settings = {
        key: getattr(layer, key) for key in ("stride", "padding", "output_padding", "groups", "dilation")
    }
    sums = function(
        torch.from_numpy(codes[first.name]).double(), weight_codes(layer).double(), **settings
    ).numpy()
    weights, outputs = computing.weights, len(signs)
    bias, scale = (one.reshape(outputs, -1) for one in (weights.bias, weights.bias_scale(first.grid)))
    assert (bias == bias[:, :1]).all()
    assert (scale == scale[:, :1]).all()
    total = sums * signs.reshape(axes) * weights.refinement + bias[:, 0].reshape(axes)
    factor = (scale[:, 0] / np.float32(computing.grid.scale)).reshape(axes)
    expected = computing.grid.codes(total.astype(np.float32) * factor)
    np.testing.assert_array_equal(codes[flat.name], expected.reshape(len(inputs), -1))


@pytest.mark.parametrize("name", SIZES)
def test_the_torch_interpreter_and_the_deployed_network_agree(name: str) -> None:
    model, inputs, graph = network(name, "W4A4")
    shape = tuple(inputs.shape[1:])
    codes = interpreter.run(graph, inputs.numpy())
    for step, found in exact(model, shape).codes(inputs).items():
        np.testing.assert_array_equal(found.numpy(), codes[step])
    assert export_file(deployed(model, shape), shape) == export_file(model, shape)
