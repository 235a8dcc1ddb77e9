"""Exported programs in ExecuTorch: all in XNNPACK, and equal to the interpreter code by code."""

import importlib.util
from collections.abc import Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.errors import ModelError
from obliq.exporting import check, export_file, graph_of, interpreter, to_executorch
from obliq.exporting.content import first_difference
from obliq.exporting.executorch.reader import graph_in_program
from obliq.exporting.executorch.runtime import load_program
from obliq.exporting.executorch.writer import held
from obliq.exporting.operations import Flatten, Multiply
from obliq.quantization import calibrate_steps, quantize
from tests.exporting.networks import made

needs_executorch = pytest.mark.skipif(
    importlib.util.find_spec("executorch") is None, reason="the extra `executorch` is not installed"
)
# the library's own imports warn
pytestmark = pytest.mark.filterwarnings("ignore:::(?!obliq)")


@needs_executorch
@pytest.mark.parametrize(
    ("name", "precision"),
    [("own residual", "W8A8"), ("own inverted", "W8A8"), ("own signal", "W8A8"), ("convnet", "W4A4")],
)
def test_every_code_is_the_interpreters(name: str, precision: str) -> None:
    model, inputs = made(name, precision)
    graph = graph_of(model, inputs.shape[1:])
    names = [step.name for step in graph.steps if not isinstance(step, Flatten)]
    logits, *found = load_program(to_executorch(graph, names))(inputs.numpy())
    expected = interpreter.run(graph, inputs.numpy())
    for step, codes in zip(names, found, strict=True):
        shift = graph[step].grid.zero_point - 128
        assert np.array_equal(codes.astype(int).ravel() - shift, expected[step].ravel()), step
    assert np.array_equal(logits, interpreter.logits(graph, expected))


class Products(nn.Module):
    """A product of two activations, and one with a gate of each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Conv2d(3, 6, 3), nn.Conv2d(3, 6, 3), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.first(x)) * F.relu(self.second(x))
        return self.last((y * y.mean((2, 3), keepdim=True)).mean((2, 3)))


@needs_executorch
def test_products_are_the_interpreters() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(8, 3, 8, 8)
    model = quantize(Products(), "W8A8", input_shape=(3, 8, 8))
    calibrate_steps(model, inputs)
    graph = graph_of(model.eval(), (3, 8, 8))
    names = [step.name for step in graph.steps if isinstance(step, Multiply)]
    logits, *found = load_program(to_executorch(graph, names))(inputs.numpy())
    expected = interpreter.run(graph, inputs.numpy())
    for step, codes in zip(names, found, strict=True):
        assert np.array_equal(codes.astype(int) + 128 - graph[step].grid.zero_point, expected[step]), step
    assert np.array_equal(logits, interpreter.logits(graph, expected))
    program = to_executorch(graph)
    assert first_difference(graph_in_program(program), held(graph)) is None


@needs_executorch
def test_equal_networks_give_equal_bytes_that_agree() -> None:
    model, inputs = made("convnet", "W8A8")
    again, _ = made.__wrapped__("convnet", "W8A8")
    program = export_file(model, inputs.shape[1:], to="executorch")
    assert export_file(again, inputs.shape[1:], to="executorch") == program
    parity = check(model, program, inputs)
    assert parity.runtime.startswith("executorch ")
    assert parity.activations.compared == len(inputs) * 10
    assert parity.activations.equal == 1
    assert parity.reference.largest_difference == 0


@needs_executorch
def test_a_program_is_checked_only_when_it_is_what_the_exporter_makes_of_its_integers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, inputs = made("convnet", "W8A8")
    program = export_file(model, inputs.shape[1:], to="executorch")
    place = program.index(b"XnnpackBackend")
    altered = program[:place] + b"OtherBackend\0\0" + program[place + 14 :]
    other, others_inputs = made("own residual", "W8A8")
    monkeypatch.setattr("obliq.exporting.executorch.file.load_program", _never)
    with pytest.raises(ModelError, match=r"not what ExecuTorch .* makes of the integers in it"):
        check(model, altered, inputs)
    with pytest.raises(ModelError, match="expected them inside"):
        check(model, program[: len(program) // 2], inputs)
    with pytest.raises(ModelError, match="describes another network; expected"):
        check(other, program, others_inputs)


def _never(program: bytes, *, threads: int = 1) -> None:
    raise AssertionError("a runtime saw the file")


@needs_executorch
def test_what_is_no_program_is_refused() -> None:
    with pytest.raises(ModelError, match="does not load the program"):
        load_program(b"\0\0\0\0ET12" + bytes(100))


@needs_executorch
@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([nn.Conv2d(1, 4, 2, padding="same"), nn.AdaptiveAvgPool2d(1)], "expected as much after as before"),
        ([nn.MaxPool2d(2, stride=3), nn.AdaptiveAvgPool2d(1)], "XNNPACK leaves out .*max_pool2d"),
    ],
)
def test_what_xnnpack_does_not_compute_is_refused(layers: Sequence[nn.Module], expected: str) -> None:
    inputs = made("convnet", "W8A8")[1]
    channels = 4 if isinstance(layers[0], nn.Conv2d) else 1
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels, 3))
    model = quantize(network, "W8A8", input_shape=inputs.shape[1:])
    calibrate_steps(model, inputs)
    with pytest.raises(ModelError, match=expected):
        to_executorch(graph_of(model.eval(), inputs.shape[1:]))


@pytest.mark.skipif(
    importlib.util.find_spec("executorch") is not None, reason="the extra `executorch` is installed"
)
def test_a_missing_library_is_named() -> None:
    model, inputs = made("convnet", "W8A8")
    with pytest.raises(ModelError, match=r"executorch is not installed .*pip install '\.\[executorch\]'"):
        export_file(model, inputs.shape[1:], to="executorch")
