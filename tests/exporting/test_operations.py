"""What holds for every operation, and that a new one is one class."""

import dataclasses
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from obliq.errors import ModelError
from obliq.exporting import (
    check,
    exact,
    export_file,
    graph_in,
    graph_of,
    interpreter,
    parse_exported,
    to_executorch,
)
from obliq.exporting import description as description_module
from obliq.exporting import from_network as walk_module
from obliq.exporting.description import describe_graph, graph_of_description
from obliq.exporting.executorch.tables import COMPUTING
from obliq.exporting.grids import Grid
from obliq.exporting.onnx.check_graph import Operator, Value, activation, require
from obliq.exporting.onnx.contents import OnnxNode
from obliq.exporting.onnx.storage import RULES
from obliq.exporting.operations import (
    IN_FILES,
    OPERATIONS,
    Quantize,
    Step,
    Take,
    TransposedConvolution,
    UnevenMaxPool,
)
from obliq.exporting.operations.step import Codes, Reals
from obliq.exporting.qdq.check import QDQ_RULES
from obliq.quantization import calibrate_steps, quantize

NUMBERS = {"weights", "table", "reads"}
"""Fields that are a network's numbers and not its form."""


@pytest.mark.parametrize("kind", OPERATIONS)
def test_an_operation_is_described_in_full(kind: type[Step]) -> None:
    fields = {field.name for field in dataclasses.fields(kind)}
    assert set(kind.sizes) == fields - {field.name for field in dataclasses.fields(Step)} - NUMBERS
    assert kind.offers or not kind.arity
    # these share operators, or are other steps in files
    assert kind.onnx or kind in (Quantize, Take, UnevenMaxPool, TransposedConvolution)
    assert (kind.xnnpack or set()) <= set(COMPUTING)


def test_an_operator_of_a_file_is_one_operation() -> None:
    for way in ("onnx", "qdq"):
        names = [name for kind in OPERATIONS for name in getattr(kind, way)]
        assert len(names) == len(set(names))
    assert set(IN_FILES) < set(RULES) | set(QDQ_RULES)


def _check(node: OnnxNode, read: list[Value]) -> Value:
    require(read[0].flows and read[0].kind == "float32", node, "a real activation")
    return activation("float32", read[0].shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class Negation(Step):
    """Codes c on a grid of scale s become round(-c (s / u)) on one of scale u."""

    calls: ClassVar[frozenset[Any]] = frozenset({torch.negative})
    offers: ClassVar[str] = "negation"
    onnx: ClassVar[Mapping[str, Operator]] = {"Neg": Operator(rule=_check, inputs=(1, 1))}

    def in_numpy(self, read: list[Codes], grids: list[Grid]) -> Codes:
        ratio = np.float32(grids[0].scale) / np.float32(self.grid.scale)
        return self.grid.codes(-read[0].astype(np.float32) * ratio)

    def in_torch(self, read: list[Reals], held: Mapping[str, Tensor]) -> Reals:
        return self.grid.codes_in_torch(-read[0] * (held["sources"][0] / held["scale"]))

    def in_reals(self, read: list[Reals], layer: nn.Module | None) -> Reals:
        return -read[0]


class Negated(nn.Module):
    """A network that only the new operation lets be exported."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(1, 4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.negative(self.conv(x)).mean((2, 3)))


@pytest.fixture(scope="module")
def network() -> tuple[nn.Module, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, inputs = quantize(Negated(), weight_bits=4, activation_bits=4), torch.randn(16, 1, 8, 8)
        calibrate_steps(model, inputs)
    return model.eval(), inputs


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a line in `OPERATIONS` does: every table is made from it."""
    monkeypatch.setattr(walk_module, "OPERATIONS", (*OPERATIONS, Negation))
    monkeypatch.setitem(description_module._KINDS, "Negation", Negation)
    for table, entry in ((RULES, Negation.onnx["Neg"]), (IN_FILES, Negation)):
        monkeypatch.setitem(table, "Neg", entry)


def test_without_it_the_network_is_refused(network: tuple[nn.Module, Tensor]) -> None:
    with pytest.raises(ModelError, match=r"^negative \(a function\) has no integer form here"):
        graph_of(network[0], (1, 8, 8))


@pytest.mark.usefixtures("registered")
def test_one_class_takes_it_all_the_way(network: tuple[nn.Module, Tensor]) -> None:
    for extra in ("onnx", "onnxruntime"):
        pytest.importorskip(extra, reason="the extra `onnx` is not installed")
    model, inputs = network
    graph = graph_of(model, (1, 8, 8))
    assert Negation in {type(step) for step in graph.steps}
    codes = interpreter.run(graph, inputs.numpy())
    for name, found in exact(model, (1, 8, 8)).codes(inputs).items():
        np.testing.assert_array_equal(found.numpy(), codes[name])
    assert describe_graph(graph_of_description(describe_graph(graph).encode())) == describe_graph(graph)
    for form in ("integer", "compact"):
        data = export_file(model, (1, 8, 8), form)
        file = parse_exported(data)
        assert describe_graph(graph_in(file.contents)) == describe_graph(graph)
        assert file.exported_from(model, (1, 8, 8)) == file.form
        assert file.with_weights(file.rebuild()) == data
        parity = check(model, data, inputs)
        assert parity.activations.equal == 1
        assert parity.activations.compared > 0


@pytest.mark.usefixtures("registered")
@pytest.mark.skipif(
    importlib.util.find_spec("executorch") is None, reason="the extra `executorch` is not installed"
)
@pytest.mark.filterwarnings("ignore:::(?!obliq)")  # the library's own imports warn
def test_a_format_without_a_form_for_it_refuses_it(network: tuple[nn.Module, Tensor]) -> None:
    with pytest.raises(
        ModelError,
        match=r"is a Negation, which has no ExecuTorch form here: .*--to onnx",
    ):
        to_executorch(graph_of(network[0], (1, 8, 8)))
