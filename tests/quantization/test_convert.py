import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from obliq.errors import ModelError
from obliq.quantization import (
    QuantizedActivation,
    QuantizedWeight,
    activations,
    calibrate_steps,
    integer_state,
    keep_steps_positive_,
    learned_steps,
    quantize,
    weighted_layers,
    weights_digest,
)
from obliq.quantization.learned_step import SMALLEST_STEP
from obliq.quantization.operations import NORMALISATIONS, PRESERVING, is_number, is_weighted, operation
from tests.quantization.nets import NETS, Residual, conv, made

CHAINED = NORMALISATIONS | {nn.ReLU6, F.relu6, nn.ReLU, F.relu, torch.relu}


def module(node: fx.Node) -> object:
    return node.graph.owning_module.get_submodule(node.target) if node.op == "call_module" else None


def is_quantizer(node: fx.Node) -> bool:
    return isinstance(module(node), QuantizedActivation)


def on_grid(node: fx.Node) -> bool:
    """Whether the values of a node lie on a grid: a quantizer, or moved values of one."""
    if is_quantizer(node):
        return True
    inputs = [value for value in node.all_input_nodes if not is_number(value)]
    return operation(node) in PRESERVING | {F.pad} and bool(inputs) and all(map(on_grid, inputs))


def ends_on_grid(node: fx.Node) -> bool:
    """Whether all that comes out of a layer meets a quantizer, past batch norm and rectifier only."""
    return all(
        is_quantizer(user) or (operation(user) in CHAINED and ends_on_grid(user))
        for user in node.users
        if not is_number(user)
    )


@pytest.mark.parametrize("name", NETS)
def test_every_layer_has_quantized_inputs_weights_and_output(name: str) -> None:
    net, inputs = made(name)
    quantized = quantize(net, "W4A4")
    calibrate_steps(quantized, inputs)
    layers = [node for node in quantized.graph.nodes if is_weighted(node)]
    assert len(layers) == sum(isinstance(part, nn.Conv1d | nn.Conv2d | nn.Linear) for part in net.modules())
    for node in layers:
        layer = module(node)
        assert isinstance(layer, QuantizedWeight)
        assert on_grid(node.args[0]), f"input of {node.name}"
        assert ends_on_grid(node), f"output of {node.name}"
    output = next(node for node in quantized.graph.nodes if node.op == "output")
    assert on_grid(output.args[0])
    for node in quantized.graph.nodes:  # sums, means, products, ...: nothing leaves the grid elsewhere
        computes = node.op in ("call_function", "call_method", "call_module") and not is_number(node)
        if computes and not is_quantizer(node) and operation(node) not in PRESERVING | CHAINED | {F.pad}:
            assert ends_on_grid(node), node.name
            assert all(on_grid(value) for value in node.all_input_nodes if not is_number(value)), node.name


@pytest.mark.parametrize("name", NETS)
def test_bits_follow_the_rule(name: str) -> None:
    net, _ = made(name)
    quantized = quantize(net, weight_bits=3, activation_bits=5, edge_bits=7)
    layers = [node for node in quantized.graph.nodes if is_weighted(node)]
    widths = [module(node).bits for node in layers]
    assert widths == [7, *[3] * (len(layers) - 2), 7]
    for node in quantized.graph.nodes:
        if is_quantizer(node):
            readers, waiting = set(), [node]
            while waiting:
                for user in waiting.pop().users:
                    moves = operation(user) in PRESERVING
                    waiting.append(user) if moves else readers.add(user)
            inner = any(reader in layers[1:-1] for reader in readers) and not readers & {
                layers[0],
                layers[-1],
            }
            assert module(node).bits == (5 if inner and node.target != "network_input" else 7), node.name


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("preset", ["deploy", "paper"])
def test_training_copying_and_reloading(name: str, preset: str) -> None:
    net, inputs = made(name)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    quantized = quantize(net, "W4A4", preset=preset)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items()), "untouched"
    with pytest.raises(ModelError, match="expected a call of calibrate_steps"):
        quantized(inputs)
    with pytest.raises(ModelError, match="expected a call of calibrate_steps"):
        integer_state(quantized)
    calibrate_steps(quantized, inputs)
    names = {key for key in quantized.state_dict() if not key.endswith(("step", "calibrated"))}
    assert names == set(before), "parameters keep their names"
    quantized(inputs).square().sum().backward()
    for key, parameter in quantized.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
    quantized.eval()
    twin = copy.deepcopy(quantized)
    assert torch.equal(twin(inputs), quantized(inputs))
    fresh = quantize(made(name, seed=5)[0], "W4A4", preset=preset).eval()
    fresh.load_state_dict(quantized.state_dict())
    assert torch.equal(fresh(inputs), quantized(inputs))
    assert weights_digest(fresh) == weights_digest(quantized)


@pytest.mark.parametrize("name", NETS)
def test_float_precision_is_the_same_function(name: str) -> None:
    net, inputs = made(name)
    traced = quantize(net, "FP32")
    assert isinstance(traced, fx.GraphModule)
    assert not learned_steps(traced)
    assert set(traced.state_dict()) == set(net.state_dict())
    calibrate_steps(traced, inputs)
    assert torch.equal(traced.eval()(inputs), net.eval()(inputs))


@pytest.mark.parametrize("name", NETS)
def test_eight_bits_are_close_to_float(name: str) -> None:
    net, inputs = made(name, samples=64)
    quantized = quantize(net.eval(), "W8A8")
    calibrate_steps(quantized, inputs)
    reference = net(inputs)
    assert (quantized(inputs) - reference).abs().mean() < 0.15 * reference.std()


def test_names_signs_and_shared_rectifiers() -> None:
    found = activations(quantize(Residual(), "W4A4"))
    assert {name: (part.bits, part.signed) for name, part in found.items()} == {
        "network_input": (8, True),
        "stem_output": (4, False),
        "blocks_0_conv1_output": (4, False),
        "blocks_0_conv2_output": (8, True),
        "blocks_0_add_output": (4, False),
        "blocks_1_conv1_output": (4, False),
        "blocks_1_conv2_output": (8, True),
        "blocks_1_shortcut_0_output": (8, True),
        "blocks_1_add_output": (8, False),
        "mean_output": (8, False),
        "classifier_output": (8, True),
    }


def test_plain_rectifiers_go_into_the_quantizer_and_clipped_ones_stay() -> None:
    kinds = {type(part) for part in quantize(made("plain")[0], "W4A4").modules()}
    assert nn.ReLU not in kinds
    kinds = {type(part) for part in quantize(made("inverted")[0], "W4A4").modules()}
    assert nn.ReLU6 in kinds


def test_the_paper_preset_keeps_edges_and_shortcuts_in_float() -> None:
    quantized = quantize(Residual(), "W2A3", preset="paper")
    names = ["blocks.0.conv1", "blocks.0.conv2", "blocks.1.conv1", "blocks.1.conv2"]
    assert list(weighted_layers(quantized)) == names
    assert {layer.bits for layer in weighted_layers(quantized).values()} == {2}
    assert list(activations(quantized)) == [name.replace(".", "_") + "_input" for name in names]
    assert {(part.bits, part.signed) for part in activations(quantized).values()} == {(3, False)}
    inverted = quantize(made("inverted")[0], "W4A4", preset="paper")
    assert list(weighted_layers(inverted)) == ["expand.0", "depthwise.0", "project.0"], "1x1, but no shortcut"


def test_grids() -> None:
    for grid, dimensions in (("per_channel", 1), ("per_tensor", 0)):
        layers = weighted_layers(quantize(Residual(), "W4A4", weight_grid=grid))
        assert {layer.weight_step.dim() for layer in layers.values()} == {dimensions}


def test_calibration_repeats_and_leaves_the_rest_alone() -> None:
    net, inputs = made("inverted")
    quantized = quantize(net, "W4A4")
    state = {key: value.clone() for key, value in quantized.state_dict().items()}
    calibrate_steps(quantized, inputs)
    first = {name: part.step.item() for name, part in activations(quantized).items()}
    calibrate_steps(quantized, 10 * inputs)
    assert activations(quantized)["network_input"].step.item() == pytest.approx(10 * first["network_input"])
    calibrate_steps(quantized, inputs)
    assert {name: part.step.item() for name, part in activations(quantized).items()} == first
    assert all(part.training for part in quantized.modules())
    for key, value in quantized.state_dict().items():
        if not key.endswith((".step", ".calibrated")):
            assert torch.equal(value, state[key]), key
    with pytest.raises(ModelError, match="finite"):
        calibrate_steps(quantized, inputs * float("nan"))
    with pytest.raises(ModelError, match="empty"):
        calibrate_steps(quantized, inputs[:0])


def test_resetting_redraws_weights_with_their_steps_and_forgets_activations() -> None:
    net, inputs = made("residual")
    quantized = quantize(net, "W4A4")
    calibrate_steps(quantized, inputs)
    quantized(inputs)
    layer = weighted_layers(quantized)["blocks.0.conv1"]
    weight, step = layer.weight.clone(), layer.weight_step.clone()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        for part in quantized.modules():
            if hasattr(part, "reset_parameters"):
                part.reset_parameters()
    assert not torch.equal(layer.weight, weight)
    assert not torch.equal(layer.weight_step, step)
    with pytest.raises(ModelError, match="expected a call of calibrate_steps"):
        quantized(inputs)


def test_steps_are_lifted_above_zero() -> None:
    quantized = quantize(Residual(), "W4A4")
    with torch.no_grad():
        for step in learned_steps(quantized):
            step.fill_(-1.0)
    keep_steps_positive_(quantized)
    assert all(bool((step == SMALLEST_STEP).all()) for step in learned_steps(quantized))


def test_in_place_operations_keep_their_meaning() -> None:
    class Careless(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last, self.relu = conv(3, 4), nn.Linear(4, 2), nn.ReLU(inplace=True)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            self.relu(x)  # changes x
            y = x.mean((2, 3))
            y.add_(1)
            return self.last(y)

    net, inputs = Careless().eval(), torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(quantize(net, "FP32")(inputs), net(inputs.clone()))


def test_functional_dropout_follows_the_mode() -> None:
    net, inputs = made("plain")
    quantized = quantize(net, "W4A4")
    calibrate_steps(quantized, inputs)
    quantized.eval()
    assert torch.equal(quantized(inputs), quantized(inputs))
    quantized.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        assert not torch.equal(quantized(inputs), quantized(inputs))


def test_autocast_and_channels_last() -> None:
    net, inputs = made("residual")
    quantized = quantize(net, "W4A4").to(memory_format=torch.channels_last)
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    calibrate_steps(quantized, inputs)
    with torch.autocast("cpu", torch.bfloat16):
        loss = quantized(inputs).float().square().sum()
    loss.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in quantized.parameters())
