"""The integer graph against the network that it was made from, without any runtime."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from obliq.errors import ModelError
from obliq.exporting import Graph, graph_of, interpreter, with_integer_biases
from obliq.exporting.device_biases import bias_rounding, largest_bias_rounding
from obliq.exporting.operations import Convolution, Linear
from obliq.models import build_model
from obliq.quantization import activations, calibrate_steps, quantize, weight_codes, weighted_layers
from tests.exporting.networks import CASES, made
from tests.quantization.nets import made as made_float


def codes_of(model: nn.Module, inputs: Tensor) -> tuple[Tensor, dict[str, np.ndarray]]:
    """The logits of a network, and what each of its quantizers rounds to."""
    seen: dict[str, np.ndarray] = {}

    def note(name: str, quantizer: nn.Module, output: Tensor) -> None:
        seen[name] = (output / quantizer.step).round().int().numpy()

    hooks = [
        quantizer.register_forward_hook(lambda module, _, output, name=name: note(name, module, output))
        for name, quantizer in activations(model).items()
    ]
    with torch.no_grad():
        logits = model(inputs)
    for hook in hooks:
        hook.remove()
    return logits, seen


def layers(graph: Graph) -> list[Convolution | Linear]:
    return [step for step in graph.steps if isinstance(step, Convolution | Linear)]


def small(bits: int = 8) -> tuple[nn.Module, Tensor]:
    """One convolution with batch norm, and a linear layer."""
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(16, 1, 6, 6, generator=generator)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    model = quantize(net, weight_bits=bits, activation_bits=bits)
    calibrate_steps(model, inputs)
    return model.eval(), inputs


@pytest.mark.parametrize("precision", ["W8A8", "W4A4"])
@pytest.mark.parametrize("name", CASES)
def test_codes_are_the_networks_once_its_biases_are_on_the_grid(name: str, precision: str) -> None:
    model, inputs = made(name, precision)
    graph = graph_of(model, inputs.shape[1:])
    rounded = with_integer_biases(model, graph)
    found = interpreter.run(graph, inputs.numpy())
    _, expected = codes_of(rounded, inputs)
    assert expected.keys() <= found.keys()
    apart = np.concatenate([np.abs(found[key].ravel() - codes.ravel()) for key, codes in expected.items()])
    # sums in float32 can fall on the other side of a half, and what follows then differs too
    assert (apart == 0).mean() > 0.99
    assert (apart <= 1).mean() > 0.999


def test_one_layer_differs_from_the_network_by_its_bias_rounding_alone() -> None:
    model, inputs = made("convnet", "W8A8")
    graph = graph_of(model, inputs.shape[1:])
    first = layers(graph)[0]
    shift = np.abs(bias_rounding(graph, first)).max() / first.grid.scale
    units = first.weights.bias_scale(graph[first.sources[0]].grid) / first.grid.scale
    assert 0 < shift <= units.max() / 2 * (1 + 1e-6)
    assert largest_bias_rounding(graph) >= shift
    found = interpreter.run(graph, inputs.numpy())[first.name]
    _, expected = codes_of(model, inputs)
    apart = np.abs(found - expected[first.name])
    assert apart.max() == 1
    assert (apart == 1).mean() < units.max() / 4


def test_networks_with_integer_biases_have_the_same_graph_and_are_left_alone() -> None:
    model, inputs = made("inverted residuals", "W4A4")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    graph = graph_of(model, inputs.shape[1:])
    again = graph_of(with_integer_biases(model, graph), inputs.shape[1:])
    for first, second in zip(layers(graph), layers(again), strict=True):
        assert np.array_equal(first.weights.bias, second.weights.bias)
        assert np.array_equal(first.weights.codes, second.weights.codes)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_negative_gammas_flip_codes() -> None:
    model, inputs = small()
    norm = next(module for module in model.modules() if isinstance(module, nn.BatchNorm2d))
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, -1.0, -0.5, 2.0]))
    weights = layers(graph_of(model, (1, 6, 6)))[0].weights
    own = weight_codes(weighted_layers(model)["0"]).numpy()
    signs = np.array([1, -1, -1, 1]).reshape(4, 1, 1, 1)
    assert np.array_equal(weights.codes, own * signs)
    graph = graph_of(model, (1, 6, 6))
    found = interpreter.run(graph, inputs.numpy())
    _, expected = codes_of(with_integer_biases(model, graph), inputs)
    assert all(np.array_equal(found[name].ravel(), codes.ravel()) for name, codes in expected.items())


@pytest.mark.parametrize("gamma", [0.0, 1e-12, -1e-30])
@pytest.mark.parametrize("beta", [0.7, 0.0, -3e6])
def test_vanishing_gammas_leave_the_bias(gamma: float, beta: float) -> None:
    model, inputs = small()
    norm = next(module for module in model.modules() if isinstance(module, nn.BatchNorm2d))
    with torch.no_grad():
        norm.weight[1] = gamma
        norm.bias[1] = beta
    graph = graph_of(model, (1, 6, 6))
    first = layers(graph)[0]
    found = interpreter.run(graph, inputs.numpy())[first.name]
    _, expected = codes_of(model, inputs)
    assert np.array_equal(found[:, 1], expected[first.name][:, 1])


def test_low_bit_weights_get_a_finer_bias() -> None:
    graph = graph_of(made("convnet", "W4A4")[0], (1, 8, 8))
    first, second, *_ = layers(graph)
    assert first.weights.refinement == 1
    assert second.weights.refinement == 16
    assert np.array_equal(second.weights.wide_codes(), second.weights.codes * np.int8(16))


def test_relu6_clamps_codes() -> None:
    model, inputs = made("own inverted", "W8A8")
    model = copy.deepcopy(model)
    quantizer = model.get_submodule("stem_0_output")
    quantizer.set_step(torch.tensor(0.05))
    graph = graph_of(model, inputs.shape[1:])
    assert (graph["stem_0_output"].grid.low, graph["stem_0_output"].grid.high) == (0, 120)
    found = interpreter.run(graph, 100 * inputs.numpy())["stem_0_output"]
    assert found.max() == 120


@pytest.mark.parametrize(
    ("net", "expected"),
    [
        (
            nn.Sequential(nn.Conv2d(1, 4, 3), nn.Softmax(1), nn.Flatten(), nn.Linear(64, 3)),
            r"^1 \(Softmax\) has no",
        ),
        (
            nn.Sequential(
                nn.Conv2d(1, 4, 3, padding_mode="reflect", padding=1), nn.Flatten(), nn.Linear(144, 3)
            ),
            "layer 0 pads by 'reflect'",
        ),
        (
            nn.Sequential(nn.Conv2d(1, 4, 3), nn.AvgPool2d(2, padding=1), nn.Flatten(), nn.Linear(36, 3)),
            "1 averages .* in a way",
        ),
    ],
)
def test_what_cannot_be_exported_is_named(net: nn.Module, expected: str) -> None:
    channels = next(module.in_channels for module in net.modules() if isinstance(module, nn.Conv2d))
    model = quantize(net, "W8A8", input_shape=(channels, 6, 6))
    calibrate_steps(model, torch.randn(4, channels, 6, 6, generator=torch.Generator().manual_seed(0)))
    with pytest.raises(ModelError, match=expected):
        graph_of(model, (channels, 6, 6))


def test_other_networks_are_refused() -> None:
    net = build_model("convnet", (1, 8, 8), 10)
    with pytest.raises(ModelError, match="cannot export a ConvNet; expected a network made by quantize"):
        graph_of(net, (1, 8, 8))
    with pytest.raises(ModelError, match="has no step from data"):
        graph_of(quantize(net, "W8A8"), (1, 8, 8))
    paper = quantize(net, "W8A8", preset="paper")
    calibrate_steps(paper, torch.randn(4, 1, 8, 8))
    with pytest.raises(ModelError, match=r"features\.0 .*expected"):
        graph_of(paper, (1, 8, 8))
    float_only, _ = made_float("residual")
    with pytest.raises(ModelError, match="expected"):
        graph_of(quantize(float_only, "FP32"), (3, 8, 8))


def test_inputs_of_another_shape_are_refused() -> None:
    graph = graph_of(small()[0], (1, 6, 6))
    with pytest.raises(ModelError, match=r"inputs of shape \(1, 7, 7\); expected \(1, 6, 6\)"):
        interpreter.run(graph, np.zeros((2, 1, 7, 7), np.float32))
