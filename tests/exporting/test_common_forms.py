"""Networks of the forms that are common on devices come all the way into a file, and out of it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from obliq.errors import ModelError
from obliq.exporting import (
    check,
    deployed,
    exact,
    export_file,
    graph_in,
    graph_of,
    interpreter,
    parse_exported,
    patch_file,
    to_executorch,
    to_onnx,
)
from obliq.exporting.description import describe_graph, graph_of_description
from obliq.exporting.grids import Grid
from obliq.exporting.onnx.runtime import session
from obliq.exporting.operations import Concatenate, LookupTable, Multiply
from obliq.quantization import activations, calibrate_steps, quantize
from tests.exporting.common_forms import FORMS, formed

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")


@pytest.mark.parametrize("precision", ["W8A8", "W4A4"])
@pytest.mark.parametrize("name", FORMS)
def test_a_file_computes_what_the_interpreter_does(name: str, precision: str) -> None:
    model, inputs = formed(name, precision)
    data = export_file(model, inputs.shape[1:], "compact")
    parity = check(model, data, inputs)
    assert parity.activations.compared > 0
    assert parity.activations.equal == parity.exact_activations.equal == 1
    assert parity.reference.largest_difference == 0
    assert parity.deployed_activations.largest_step <= 2  # float sums, at a half


@pytest.mark.parametrize("name", FORMS)
def test_a_file_holds_all_of_the_network(name: str) -> None:
    model, inputs = formed(name, "W4A4")
    shape = inputs.shape[1:]
    graph = graph_of(model, shape)
    assert describe_graph(graph_of_description(describe_graph(graph).encode())) == describe_graph(graph)
    for form in ("integer", "compact"):
        data = export_file(model, shape, form)
        file = parse_exported(data)
        assert describe_graph(graph_in(file.contents)) == describe_graph(graph)
        assert file.exported_from(model, shape) == file.form
        assert file.with_weights(file.rebuild()) == data
        assert patch_file(file, file.content) == data
    assert export_file(deployed(model, shape), shape) == export_file(model, shape)


@pytest.mark.parametrize("name", ["functions", "gated", "dense", "u-net"])
def test_a_patch_leads_from_one_network_to_another(name: str) -> None:
    model, inputs = formed(name, "W8A8")
    shape = inputs.shape[1:]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        other = quantize(FORMS[name][0](), "W8A8", input_shape=shape).eval()
    calibrate_steps(other, 2 * inputs)
    before, after = (export_file(one, shape) for one in (model, other))
    assert before != after
    assert patch_file(parse_exported(before), parse_exported(after).content) == after


@pytest.mark.parametrize("name", ["functions", "gated", "u-shaped", "u-net"])
def test_a_network_from_a_file_answers_and_learns(name: str) -> None:
    model, inputs = formed(name, "W8A8")
    rebuilt = parse_exported(export_file(model, inputs.shape[1:])).rebuild()
    graph = graph_of(model, inputs.shape[1:])
    expected = interpreter.logits(graph, interpreter.run(graph, inputs.numpy()))
    found = rebuilt(inputs)
    assert (found.detach().numpy() == expected).mean() > 0.5  # float sums, at a half
    found.square().sum().backward()
    first = next(rebuilt.parameters())
    assert first.grad is not None
    assert first.grad.abs().sum() > 0


def test_products_and_concatenations_are_fused(tmp_path: Path) -> None:
    for name, kind, operator in (
        ("gated", Multiply, "QLinearMul"),
        ("shuffled", Concatenate, "QLinearConcat"),
    ):
        model, inputs = formed(name, "W8A8")
        graph = graph_of(model, inputs.shape[1:])
        session(to_onnx(graph), write_to=str(tmp_path / "fused.onnx"))
        found = [node.op_type for node in onnx.load(str(tmp_path / "fused.onnx")).graph.node]
        assert found.count(operator) == sum(isinstance(step, kind) for step in graph.steps)
        assert found.count("QuantizeLinear") == 1  # the input: tables are looked up as bytes


def test_a_table_has_the_nearest_code_for_each_byte() -> None:
    model, inputs = formed("functions", "W8A8")
    graph = graph_of(model, inputs.shape[1:])
    table = next(step for step in graph.steps if isinstance(step, LookupTable))
    reals = (np.arange(256.0) - table.reads.zero_point) * table.reads.scale
    expected = torch.nn.functional.hardswish(torch.from_numpy(reals)).numpy() / table.grid.scale
    kept = np.clip(np.rint(expected), table.grid.low, table.grid.high)
    np.testing.assert_array_equal(table.table.astype(int) - table.grid.zero_point, kept)


def test_the_form_of_floats_names_what_it_does_not_have() -> None:
    model, inputs = formed("gated", "W8A8")
    with pytest.raises(ModelError, match=r"^act is computed by a table of codes, which the form float"):
        export_file(model, inputs.shape[1:], "float")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("functions", "LookupTable"), ("shuffled", "Take"), ("u-net", "Reshape"), ("dense", "Concatenate")],
)
def test_what_xnnpack_does_not_compute_is_refused_before_it_is_asked(name: str, kind: str) -> None:
    model, inputs = formed(name, "W8A8")
    refused = rf"is a {kind}, which has no ExecuTorch form here: .*; expected --to onnx or --to c"
    with pytest.raises(ModelError, match=refused):
        to_executorch(graph_of(model, inputs.shape[1:]))


def test_products_next_to_a_half_have_no_executorch_form() -> None:
    """3 x 0.49999997 + 128 is 129.5 in float32, so that the code is 2; 1.4999999 alone rounds to 1."""
    first = Grid(scale=1.0, bits=8, signed=True, low=-128, high=127)
    second = dataclasses.replace(first, scale=float(np.float32(0.49999997)))
    product = Multiply(name="a", path="a", sources=("b", "c"), grid=first)
    with pytest.raises(ModelError, match="lie so close to a half"):
        product.require_in_executorch([first, second])
    product.require_in_executorch([first, dataclasses.replace(first, scale=0.25)])
    unsigned = Grid(scale=1.0, bits=8, signed=False, low=0, high=255)
    dataclasses.replace(product, grid=unsigned).require_in_executorch([first, second])


def test_means_that_onnx_runtime_stops_at_are_refused() -> None:
    """An activation that is zero in all of the calibration has a step next to nothing."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    model = quantize(network, "W8A8", input_shape=(3, 8, 8))
    calibrate_steps(model, torch.randn(4, 3, 8, 8))
    pooled = next(one for name, one in activations(model).items() if "1_output" in name)
    pooled.set_step(torch.tensor(2.0**-24))
    with pytest.raises(ModelError, match=r"^1 averages values in steps of .* expected steps that are closer"):
        graph_of(model.eval(), (3, 8, 8))


class Refused(nn.Module):
    """A layer, something that has no integer form, and a layer."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.first, self.part, self.last = nn.Conv2d(3, 8, 3, padding=1), part, nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.part(self.first(x)).mean((2, 3)))


class Called(nn.Module):
    """Any function as a module."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.function(x)  # type: ignore[operator]
        return result


REFUSED = {
    "PReLU of channels": (nn.PReLU(8), r"^part \(PReLU\) has a weight for each channel; expected one"),
    "sort": (Called(lambda x: x.sort(1)[0]), r"^part\.sort gives several tensors"),
    "topk": (Called(lambda x: x.topk(8, 1).values), r"^part\.topk gives several tensors"),
    "largest": (Called(lambda x: x.max(1, keepdim=True)[0] + x), r"^part\.max .*expected torch\.amax"),
    "places": (
        nn.MaxPool2d(2, return_indices=True),
        r"^part\.0 gives several .*expected return_indices=False",
    ),
    "softmax": (nn.Softmax(1), r"^part \(Softmax\) has no integer form here"),
    "layer norm": (nn.LayerNorm(8), r"^part \(LayerNorm\) has no integer form here"),
    "uneven pool": (nn.AdaptiveAvgPool2d(3), r"^part averages 8 x 8 to 3 x 3"),
    "samples mixed": (Called(lambda x: x.flip(0)), r"^part\.flip mixes samples"),
    "other order": (Called(lambda x: x.flatten(2)[:, :, :63].view(-1, 8, 7, 9)), r"^part\.view rearranges"),
    "not a number": (Called(lambda x: (x.abs() + x).clamp(min=-9).add(1).log()), r"^part\.log"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_integer_form_is_named_in_one_line(name: str) -> None:
    part, message = REFUSED[name]
    if name == "places":
        part = nn.Sequential(part, Called(lambda pair: pair[0]))
    with pytest.raises(ModelError, match=message) as caught:
        exported(part)
    assert "\n" not in str(caught.value)


def test_everything_without_an_integer_form_is_named_at_once() -> None:
    with pytest.raises(ModelError) as caught:
        exported(nn.Sequential(nn.Softmax(1), nn.Conv2d(8, 8, 1), nn.LayerNorm(8), nn.PReLU(8)))
    message = str(caught.value)
    assert message.startswith(
        "3 parts of the network cannot be exported: part.0 (Softmax) has no integer form here, "
    )
    assert ", part.2 (LayerNorm) has no integer form here; expected Conv1d" in message
    assert "; and part.3 (PReLU) has a weight for each channel; expected one" in message
    assert "\n" not in message


def exported(part: nn.Module) -> None:
    model = quantize(Refused(part), "W8A8", input_shape=(3, 8, 8))
    calibrate_steps(model, torch.randn(8, 3, 8, 8))
    graph_of(model, (3, 8, 8))


def test_exact_is_an_export_on_any_device() -> None:
    model, inputs = formed("shuffled", "W4A4")
    graph = graph_of(model, inputs.shape[1:])
    codes = interpreter.run(graph, inputs.numpy())
    for step, found in exact(model, inputs.shape[1:]).codes(inputs).items():
        np.testing.assert_array_equal(found.numpy(), codes[step])
