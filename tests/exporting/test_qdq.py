"""Files of other quantizers: rebuilt networks answer as ONNX Runtime does, and are written back into the same file."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn

from obliq.errors import ModelError
from obliq.exporting import ExportedFile, parse_exported, share_of_changed_codes
from obliq.exporting.onnx.reader import weight_constants
from obliq.exporting.parity import agreement
from obliq.quantization import QuantizedWeight, weighted_layers
from tests.exporting import qdq_files
from tests.exporting.qdq_files import SETTINGS, altered, constant, images, quantized

pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")


FILES = {
    **{f"convnet, {name}": ("convnet", "torch", settings) for name, settings in SETTINGS.items()},
    "convnet, our float form": ("convnet", "obliq", SETTINGS["uint8"]),
    "convnet, our float form, prepared": ("convnet", "obliq", SETTINGS["int8, prepared"]),
    "residual, int8, symmetric": ("residual", "torch", SETTINGS["int8, symmetric"]),
    "residual, our float form": ("residual", "obliq", SETTINGS["uint8, one scale a layer"]),
    "mobilenet, uint8": ("mobilenet", "torch", SETTINGS["uint8"]),
    "signal, uint8": ("signal", "torch", SETTINGS["uint8"]),
    "resnet20, uint8": ("resnet20", "torch", SETTINGS["uint8"]),
}


def opened(data: bytes) -> ExportedFile:
    """A file to be edited."""
    return parse_exported(data)


def check_answers(data: bytes) -> None:
    """The rebuilt network and ONNX Runtime agree, and the network unchanged gives the file byte for byte."""
    file = opened(data)
    network = file.rebuild()
    inputs = images(256, seed=1, shape=parse_exported(data).contents.input_shape)
    with torch.no_grad():
        found = network(inputs).numpy()
    measured = agreement(found, parse_exported(data).predictor.predict(inputs).numpy())
    assert measured.same_top1 >= 0.99  # sums in float32 may round a code apart
    assert measured.mean_difference < 0.005
    assert file.with_weights(copy.deepcopy(network)) == data


@pytest.mark.parametrize("name", FILES)
def test_it_answers_as_the_file_and_gives_it_back(name: str) -> None:
    check_answers(quantized(*FILES[name]))


def test_zero_points_are_not_all_zero() -> None:
    contents = parse_exported(quantized()).contents
    zeros = {int(contents.constants[n.inputs[2]]) for n in contents.nodes if n.operator == "QuantizeLinear"}
    assert zeros - {0, 128}


def test_files_like_those_of_pt2e() -> None:
    data = qdq_files.like_pt2e()
    operators = {node.operator for node in parse_exported(data).contents.nodes}
    assert {"ReduceMean", "Reshape"} <= operators
    check_answers(data)


@pytest.mark.parametrize("network", ["convnet", "residual"])
def test_files_of_pt2e(network: str) -> None:
    for package in ("onnxscript", "torchao", "executorch"):
        pytest.importorskip(package, reason="PT2E and its ONNX exporter are not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = qdq_files.pt2e(network)
    check_answers(data)


def moved(network: nn.Module) -> nn.Module:
    """Every weight a step further, within the range, and every bias too."""
    made = copy.deepcopy(network)
    with torch.no_grad():
        for layer in weighted_layers(made).values():
            step = layer.weight_step.reshape(-1, *(1,) * (layer.weight.dim() - 1))
            layer.weight.add_(step).clamp_(-127 * step, 127 * step)
            assert isinstance(layer.bias, nn.Parameter)
            layer.bias.add_(0.01)
    return made


@pytest.mark.parametrize("name", ["convnet, uint8", "convnet, real biases", "residual, our float form"])
def test_nothing_but_weights_and_biases_is_written(name: str) -> None:
    data = quantized(*FILES[name])
    file = opened(data)
    network = moved(file.rebuild())
    after = file.with_weights(network)
    assert len(after) == len(data)
    before, found = parse_exported(data).contents, parse_exported(after).contents
    changed = {name for name in found.constants if (found.constants[name] != before.constants[name]).any()}
    weights = weight_constants(before)
    assert set(weights) < changed
    assert len(changed) == 2 * len(weights)
    share = share_of_changed_codes(before, found)
    assert share is not None
    assert 0.9 < share <= 1

    def blanked(model: Any) -> None:
        for name in changed:
            constant(model, name).raw_data = b""

    assert altered(after, blanked) == altered(data, blanked)
    inputs = images(128, seed=2)
    with torch.no_grad():
        expected = network(inputs).numpy()
    assert agreement(parse_exported(after).predictor.predict(inputs).numpy(), expected).same_top1 > 0.97


def test_a_moved_grid_and_another_network_are_refused() -> None:
    file, other = opened(quantized()), opened(quantized(*FILES["residual, our float form"]))
    network = file.rebuild()
    with pytest.raises(ModelError, match="was not rebuilt from this file"):
        file.with_weights(other.rebuild())
    with torch.no_grad():
        next(iter(weighted_layers(network).values())).weight_step.mul_(1.01)
    with pytest.raises(ModelError, match="was moved; expected a method that keeps it"):
        file.with_weights(network)


def test_only_weights_and_biases_can_be_trained() -> None:
    network = opened(quantized()).rebuild()
    names = {name for name, _ in network.named_parameters()}
    assert names == {
        f"layers.{number}.{part}"
        for number, layer in network.get_submodule("layers").named_children()
        for part in ("weight", "bias", "weight_step")
        if isinstance(layer, QuantizedWeight)
    }
    inputs = images(16)
    network(inputs).square().sum().backward()
    for layer in weighted_layers(network).values():
        assert bool((layer.weight.grad != 0).any())


def node(model: Any, operator: str) -> Any:
    return next(node for node in model.graph.node if node.op_type == operator)


def first_weight(model: Any) -> tuple[Any, Any]:
    """The node that makes real numbers of the first layer's codes, and the constant with those."""
    made = {node.output[0]: node for node in model.graph.node}
    part = made[node(model, "Conv").input[1]]
    return part, constant(model, part.input[0])


def unsupported(model: Any) -> None:
    node(model, "MaxPool").op_type = "LpPool"


def zero_points(model: Any) -> None:
    part, _ = first_weight(model)
    zeros = constant(model, part.input[2])
    zeros.CopyFrom(numpy_helper.from_array(np.full(tuple(zeros.dims), 3, np.int8), zeros.name))


def other_step(model: Any) -> None:
    part = next(n for n in model.graph.node if n.op_type == "DequantizeLinear" and "image" in n.input[0])
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0.7), "other"))
    part.input[1] = "other"


def rectified_bias(model: Any) -> None:
    convolution = node(model, "Conv")
    position = list(model.graph.node).index(convolution)
    model.graph.node.insert(position, helper.make_node("Relu", [convolution.input[2]], ["again"]))
    convolution.input[2] = "again"


def fixed_batch(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (
            unsupported,
            r"operator 'LpPool' that makes \['/features/.*'\] is not read; expected QuantizeLinear",
        ),
        (zero_points, "DequantizeLinear that makes '.*': expected zero points of 0"),
        (
            other_step,
            "DequantizeLinear that makes '.*': expected the scale and zero point that the bytes were",
        ),
        (fixed_batch, "image is no float32 tensor with a free batch"),
        (rectified_bias, "Relu that makes 'again': expected a real activation"),
    ],
)
def test_what_is_not_supported_is_named(alter: Callable[[Any], object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        parse_exported(altered(quantized(), alter))


def test_a_float_network_of_torch_is_refused() -> None:
    with pytest.raises(
        ModelError, match=r"no layer has int8 weights .*; expected a quantized network in QDQ form"
    ):
        parse_exported(qdq_files.float_file("convnet", "torch"))


def test_layers_that_share_weights_are_refused() -> None:
    twice = nn.Conv2d(2, 2, 3, padding=1)
    net = nn.Sequential(
        twice, nn.ReLU(), twice, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 5)
    )
    data = qdq_files.quantized_file(qdq_files.torch_file(net.eval()), images(16))
    with pytest.raises(ModelError, match=r"Conv that makes .* shares .* with another node; expected weights"):
        opened(data).rebuild()
