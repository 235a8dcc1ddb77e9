"""Exported files in ONNX Runtime: fused, exact, small, the same every time."""

import itertools
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from obliq.data import Partition
from obliq.data.batches import batches
from obliq.errors import ModelError
from obliq.exporting import FORMS, check, export_file, graph_of, interpreter, to_onnx
from obliq.exporting.graph import Graph
from obliq.exporting.onnx.runtime import session
from obliq.exporting.operations import Add, Convolution, Linear
from obliq.quantization import packed_size
from tests.exporting.networks import CASES, DEEP, made

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")


def content_bytes(graph: Graph, narrowest: int) -> int:
    """Codes at the width that they are stored with, scales and biases."""
    total = 0
    for step in graph.steps:
        if isinstance(step, Convolution | Linear):
            width = next(width for width in (2, 4, 8) if width >= max(step.weights.bits, narrowest))
            total += packed_size(step.weights.codes.size, width) + 8 * len(step.weights.bias)
    return total


@pytest.mark.parametrize(
    ("name", "precision", "form"),
    [
        *itertools.product(CASES, ("W8A8", "W4A4"), ("integer", "compact")),
        *((name, "W4A4", "compact") for name in DEEP),
    ],
)
def test_files_compute_what_the_interpreter_does(name: str, precision: str, form: str) -> None:
    model, inputs = made(name, precision)
    inputs = inputs[:4]
    parity = check(model, export_file(model, inputs.shape[1:], form), inputs)
    assert parity.activations.compared > 0
    assert parity.activations.equal == parity.exact_activations.equal == 1
    assert parity.reference.largest_difference == 0


@pytest.mark.parametrize("form", FORMS)
def test_a_trained_network_keeps_its_answers(original: nn.Module, parts: Partition, form: str) -> None:
    inputs = torch.cat([batch for batch, _ in batches(parts.test, 64, None, torch.device("cpu"))])
    parity = check(original, export_file(original, (1, 6, 6), form), inputs)
    assert parity.samples == len(inputs)
    if form == "float":
        assert parity.network.same_top1 > 0.8
        assert parity.activations.compared == 0
    else:
        assert parity.deployed_network.same_top1 == 1
        assert parity.deployed_network.mean_difference < 0.01
        assert parity.network.same_top1 > 0.95
        assert parity.network.mean_difference < 0.05


@pytest.mark.parametrize(
    ("precision", "form"),
    [("W8A8", "integer"), ("W4A4", "integer"), ("W4A4", "compact"), ("W2A2", "compact")],
)
@pytest.mark.parametrize("name", CASES)
def test_every_layer_and_addition_is_fused(name: str, precision: str, form: str, tmp_path: Path) -> None:
    model, inputs = made(name, precision)
    graph = graph_of(model, inputs.shape[1:])
    session(to_onnx(graph, form), write_to=str(tmp_path / "fused.onnx"))
    counts: Mapping[str, int] = Counter(operators((tmp_path / "fused.onnx").read_bytes()))
    kinds = Counter(type(step) for step in graph.steps)
    assert counts["QLinearConv"] == kinds[Convolution]
    assert counts["QGemm"] == kinds[Linear]
    assert counts["QLinearAdd"] == kinds[Add]
    assert counts["QuantizeLinear"] == counts["DequantizeLinear"] == 1  # the ends
    assert not {"Conv", "Gemm", "Add", "AveragePool", "GlobalAveragePool"} & set(counts)


def test_without_the_integer_clip_low_bit_activations_would_overflow() -> None:
    model, inputs = made("convnet", "W4A4")
    exported = onnx.load_model_from_string(export_file(model, (1, 8, 8)))
    for node in [node for node in exported.graph.node if node.op_type == "Clip"]:
        exported.graph.node.remove(node)
        for reader in exported.graph.node:
            reader.input[:] = [node.input[0] if name == node.output[0] else name for name in reader.input]
    graph = graph_of(model, (1, 8, 8))
    expected = interpreter.logits(graph, interpreter.run(graph, inputs.numpy()))
    wrong = session(exported.SerializeToString()).run(None, {"input": inputs.numpy()})[0]
    right = session(to_onnx(graph)).run(None, {"input": inputs.numpy()})[0]
    assert np.array_equal(right, expected)
    assert np.abs(wrong - expected).max() > 0.1 * expected.std()


@pytest.mark.parametrize("form", FORMS)
def test_equal_networks_give_equal_bytes(form: str) -> None:
    first, inputs = made("own inverted", "W4A4")
    second, _ = made.__wrapped__("own inverted", "W4A4")
    assert first is not second
    assert export_file(first, inputs.shape[1:], form) == export_file(second, inputs.shape[1:], form)


@pytest.mark.parametrize(("precision", "narrowest"), [("W8A8", 8), ("W4A4", 4), ("W2A2", 2)])
def test_files_are_hardly_larger_than_their_content(precision: str, narrowest: int) -> None:
    model, inputs = made("resnet20", precision)
    graph = graph_of(model, inputs.shape[1:])
    sizes = {form: len(to_onnx(graph, form)) for form in FORMS}
    assert sizes["integer"] <= 1.05 * content_bytes(graph, 8) + 2**13
    assert sizes["compact"] <= 1.05 * content_bytes(graph, narrowest) + 2**13
    assert sizes["compact"] <= sizes["integer"] < 0.3 * sizes["float"]
    assert (to_onnx(graph, "compact") == to_onnx(graph, "integer")) == (narrowest == 8)


@pytest.mark.parametrize(
    ("precision", "form", "opset"),
    [
        ("W8A8", "integer", 13),
        ("W2A2", "integer", 13),
        ("W8A8", "compact", 13),
        ("W3A8", "compact", 21),
        ("W2A2", "compact", 25),
        ("W8A8", "float", 17),
    ],
)
def test_operator_sets_are_as_old_as_can_be(precision: str, form: str, opset: int) -> None:
    model, _ = made("convnet", precision)
    exported = onnx.load_model_from_string(export_file(model, (1, 8, 8), form))
    assert [(entry.domain, entry.version) for entry in exported.opset_import] == [("", opset)]
    assert exported.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_answers_do_not_depend_on_how_the_runtime_optimises() -> None:
    model, inputs = made("resnet20", "W8A8")
    exported = export_file(model, (3, 8, 8))
    plain, fused = (
        session(exported, optimised=on).run(None, {"input": inputs.numpy()})[0] for on in (False, True)
    )
    assert np.abs(plain - fused).mean() < 0.02 * fused.std()


def test_a_file_of_another_network_is_noticed() -> None:
    model, inputs = made("convnet", "W8A8")
    other, _ = made("own residual", "W8A8")
    parity = check(model, export_file(made("convnet", "W4A4")[0], (1, 8, 8)), inputs)
    assert parity.activations.equal < 0.9
    with pytest.raises(ModelError, match="expected"):
        check(model, export_file(other, (3, 8, 8)), inputs)
    with pytest.raises(ModelError, match="no inputs to compare on"):
        check(model, export_file(model, (1, 8, 8)), torch.empty(0, 1, 8, 8))


def operators(model: bytes) -> list[str]:
    """The operator of every node of a file, in its order."""
    return [node.op_type for node in onnx.load_model_from_string(model).graph.node]


def test_a_runtime_sees_no_file_that_the_strict_reader_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs = made("convnet", "W8A8")
    altered = onnx.load_model_from_string(export_file(model, (1, 8, 8)))
    altered.graph.node[0].domain = "com.microsoft"
    monkeypatch.setattr("obliq.exporting.onnx.file.session", _missing)
    with pytest.raises(ModelError, match="has a field 7, which is not read"):
        check(model, altered.SerializeToString(), inputs)


def test_unknown_forms_and_missing_libraries_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = made("convnet", "W8A8")
    with pytest.raises(ModelError, match="form is 'tiny'; expected integer, compact, float"):
        export_file(model, (1, 8, 8), "tiny")
    monkeypatch.setattr("obliq.exporting.optional.importlib.import_module", _missing)
    with pytest.raises(ModelError, match=r"onnx is not installed .*pip install '\.\[onnx\]'"):
        export_file(model, (1, 8, 8))


def _missing(name: str) -> None:
    raise ImportError(f"No module named {name!r}")
