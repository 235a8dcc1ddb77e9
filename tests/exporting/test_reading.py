"""Files back as graphs, graphs as files: nothing is lost on the way."""

import dataclasses

import numpy as np
import pytest
import torch

from obliq.errors import ModelError
from obliq.exporting import (
    ExportedFile,
    export_file,
    graph_in,
    graph_of,
    interpreter,
    open_exported,
    parse_exported,
    to_onnx,
)
from obliq.exporting.operations import Convolution, Linear, Step
from obliq.training.prediction import Predictor, TorchPredictor
from tests.exporting.networks import CASES, made

pytest.importorskip("onnx", reason="the extra `onnx` is not installed")


def weighted(steps: tuple[Step, ...]) -> list[Convolution | Linear]:
    return [step for step in steps if isinstance(step, Convolution | Linear)]


@pytest.mark.parametrize("form", ["integer", "compact"])
@pytest.mark.parametrize(
    ("name", "precision"),
    [*((name, "W4A4") for name in CASES), *(("own residual", width) for width in ("W8A8", "W3A5", "W2A2"))],
)
def test_a_graph_that_was_read_gives_the_same_bytes(name: str, precision: str, form: str) -> None:
    model, inputs = made(name, precision)
    written = graph_of(model, inputs.shape[1:])
    data = to_onnx(written, form)
    read = graph_in(parse_exported(data).contents)
    assert to_onnx(read, form) == data
    for old, new in zip(weighted(written.steps), weighted(read.steps), strict=True):
        assert (old.path, old.weights.bits) == (new.path, new.weights.bits)
        assert np.array_equal(old.weights.codes, new.weights.codes)
        assert np.array_equal(old.weights.scale, new.weights.scale)
    assert [step.grid for step in read.steps] == [step.grid for step in written.steps]


def test_what_was_read_computes_the_same() -> None:
    model, inputs = made("own residual", "W4A4")
    written = graph_of(model, inputs.shape[1:])
    read = graph_in(parse_exported(to_onnx(written, "compact")).contents)
    first, second = (interpreter.run(graph, inputs.numpy()) for graph in (written, read))
    assert list(first) == list(second)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_file_of_floats_holds_no_integers() -> None:
    model, inputs = made("convnet", "W4A4")
    with pytest.raises(ModelError, match="expected a file of the integer or compact form"):
        graph_in(parse_exported(export_file(model, inputs.shape[1:], "float")).contents)


def test_everything_that_answers_is_asked_in_the_same_way(tmp_path_factory: pytest.TempPathFactory) -> None:
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    model, inputs = made("convnet", "W8A8")
    file = tmp_path_factory.mktemp("shipped") / "a.onnx"
    file.write_bytes(export_file(model, inputs.shape[1:]))
    ours = open_exported(file, "interpreter").predictor
    theirs = open_exported(file).predictor
    asked: list[Predictor] = [TorchPredictor(model, torch.device("cpu")), theirs, ours]
    said = [predictor.predict(inputs) for predictor in asked]
    assert torch.equal(said[1], said[2])
    assert (said[0] - said[1]).abs().mean() < 0.1 * said[0].std()
    assert ours.runtime.startswith("integer interpreter")
    assert len({predictor.runtime for predictor in asked}) == 3


def test_a_file_belongs_to_what_exports_to_it_and_to_nothing_else(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    model, inputs = made("convnet", "W4A4")
    shape = inputs.shape[1:]
    folder = tmp_path_factory.mktemp("shipped")
    opened: dict[str, ExportedFile] = {}
    for form in ("integer", "compact", "float"):
        (folder / f"{form}.onnx").write_bytes(export_file(model, shape, form))
        opened[form] = open_exported(folder / f"{form}.onnx")
        assert opened[form].exported_from(model, shape) == form
    assert opened["integer"].content_digest == opened["compact"].content_digest
    assert opened["integer"].content_digest != opened["float"].content_digest
    graph = graph_of(model, shape)
    first = weighted(graph.steps)[0]
    moved = dataclasses.replace(
        first.weights, bias=first.weights.bias + np.eye(1, len(first.weights.bias), dtype=np.int32)[0]
    )
    steps = [dataclasses.replace(step, weights=moved) if step is first else step for step in graph.steps]
    (folder / "moved.onnx").write_bytes(to_onnx(dataclasses.replace(graph, steps=tuple(steps))))
    other = open_exported(folder / "moved.onnx")
    assert other.exported_from(model, shape) is None
    assert other.form_beside(model, shape) == "integer"
    assert other.changed_codes(graph) == 0
    assert opened["float"].changed_codes(graph) is None
    stranger, seen = made("own residual", "W4A4")
    assert other.form_beside(stranger, seen.shape[1:]) is None
