"""A network from a file's integers: it answers as the file does, and gives the file back."""

import copy

import numpy as np
import pytest
import torch

from obliq.errors import ModelError
from obliq.exporting import export_file, graph_in, interpreter, parse_exported, to_onnx
from obliq.exporting.operations import Convolution, Linear
from obliq.exporting.rebuild import graph_with_weights, rebuild_network
from obliq.quantization import weighted_layers
from tests.exporting.networks import CASES, made

pytest.importorskip("onnx", reason="the extra `onnx` is not installed")


@pytest.mark.parametrize("name", CASES)
def test_it_answers_as_the_file_and_gives_it_back(name: str) -> None:
    model, inputs = made(name, "W4A4")
    data = export_file(model, inputs.shape[1:], "compact")
    graph = graph_in(parse_exported(data).contents)
    network = rebuild_network(graph)
    with torch.no_grad():
        found = network(inputs).numpy()
    expected = interpreter.logits(graph, interpreter.run(graph, inputs.numpy()))
    assert np.abs(found - expected).mean() < 0.01 * expected.std()  # sums in float32 may round a code apart
    assert to_onnx(graph_with_weights(graph, copy.deepcopy(network)), "compact") == data


def test_only_codes_and_biases_are_taken_over() -> None:
    model, inputs = made("own inverted", "W4A4")
    graph = graph_in(parse_exported(export_file(model, inputs.shape[1:])).contents)
    network = rebuild_network(graph)
    with torch.no_grad():
        for layer in weighted_layers(network).values():
            layer.weight.neg_()
            layer.bias.add_(0.01)  # type: ignore[union-attr]
    after = graph_with_weights(graph, network)
    for old, new in zip(graph.steps, after.steps, strict=True):
        assert (old.name, old.sources, old.grid) == (new.name, new.sources, new.grid)
        if isinstance(old, Convolution | Linear):
            assert isinstance(new, Convolution | Linear)
            live = old.weights.scale >= 2.0**-24
            assert np.array_equal(new.weights.codes[live], -old.weights.codes[live])
            assert np.array_equal(new.weights.codes[~live], old.weights.codes[~live])
            assert np.array_equal(new.weights.scale, old.weights.scale)
    assert parse_exported(to_onnx(after)).contents.nodes == parse_exported(to_onnx(graph)).contents.nodes


def test_a_moved_grid_and_another_network_are_refused() -> None:
    model, inputs = made("convnet", "W4A4")
    graph = graph_in(parse_exported(export_file(model, inputs.shape[1:])).contents)
    network = rebuild_network(graph)
    with torch.no_grad():
        next(iter(weighted_layers(network).values())).weight_step.mul_(1.01)
    with pytest.raises(ModelError, match="was moved; expected a method that keeps it"):
        graph_with_weights(graph, network)
    with pytest.raises(ModelError, match="was not rebuilt from this file"):
        graph_with_weights(graph, model)
