"""What a graph computes as text: the same for every file of a network, and refused when it makes no sense."""

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from obliq.errors import ModelError
from obliq.exporting import graph_in, graph_of, parse_exported, to_onnx
from obliq.exporting.description import LONGEST, MOST_STEPS, describe_graph, graph_of_description
from obliq.exporting.operations import Convolution, Linear
from tests.exporting.networks import CASES, made

pytest.importorskip("onnx", reason="the extra `onnx` is not installed")


@pytest.mark.parametrize("name", CASES)
def test_every_file_of_a_network_has_its_description(name: str) -> None:
    model, inputs = made(name, "W4A4")
    graph = graph_of(model, inputs.shape[1:])
    text = describe_graph(graph)
    assert {
        describe_graph(graph_in(parse_exported(to_onnx(graph, form)).contents))
        for form in ("integer", "compact")
    } == {text}
    again = graph_of_description(text.encode())
    assert describe_graph(again) == text
    for one, other in zip(again.steps, graph.steps, strict=True):
        assert (type(one), one.sources, one.grid.zero_point) == (
            type(other),
            other.sources,
            other.grid.zero_point,
        )
        if isinstance(one, Convolution | Linear):
            assert isinstance(other, Convolution | Linear)
            assert one.weights.codes.shape == other.weights.codes.shape
            assert not np.any(one.weights.codes)


def test_a_sum_may_be_named_after_the_place_of_its_block() -> None:
    """As in a Sequential, whose children are numbered: a name from which no variable can be made."""
    model, inputs = made("convnet", "W4A4")
    document = json.loads(describe_graph(graph_of(model, inputs.shape[1:])))
    document["steps"][-1]["name"] = "2_add_output"
    assert graph_of_description(json.dumps(document).encode()).steps[-1].name == "2_add_output"


def test_values_are_no_part_of_it() -> None:
    (first, inputs), (second, _) = made("convnet", "W4A4"), made("convnet", "W8A8")
    assert describe_graph(graph_of(first, inputs.shape[1:])) == describe_graph(
        graph_of(second, inputs.shape[1:])
    )


def _step(kind: str, /, **others: object) -> Callable[[Any], None]:
    """Change the first step of a kind."""

    def change(document: Any) -> None:
        next(step for step in document["steps"] if step["kind"] == kind).update(others)

    return change


LIES: dict[str, tuple[Callable[[Any], object], str]] = {
    "no steps": (lambda document: document.update(steps=[]), "expected each once, and the input first"),
    "two inputs": (
        lambda document: document["steps"].insert(1, {**document["steps"][0], "name": "b"}),
        "each once",
    ),
    "a layer twice": (_step("Linear", path="features.0"), "each once"),
    "an unknown field": (lambda document: document.update(more=1), "unknown field 'more'"),
    "an unknown kind": (_step("Linear", kind="Sigmoid"), "of kind 'Sigmoid'; expected one of Quantize"),
    "a name of the file's own": (_step("Linear", name="3-y"), "expected names of a module"),
    "a name out of order": (_step("Convolution", sources=["flatten"]), "out of order"),
    "too many sources": (_step("Linear", sources=["flatten", "flatten"]), "expected 1 sources"),
    "an empty sample": (lambda document: document.update(input_shape=[0, 8, 8]), "samples of shape"),
    "an enormous sample": (lambda document: document.update(input_shape=[2**40]), "samples of shape"),
    "weights of one axis": (_step("Linear", weights=[10]), "expected weights of 2 axes"),
    "weights of five axes": (_step("Convolution", weights=[1] * 5), "expected weights of 3 or 4 axes"),
    "enormous weights": (_step("Linear", weights=[2**40, 64]), "expected weights of sizes from 1"),
    "sizes of another step": (_step("Flatten", sizes={"stride": [1]}), "expected sizes"),
    "a stride of nothing": (
        _step("MaxPool", sizes={"kernel": [2], "stride": [0], "padding": [0], "dilation": [1]}),
        "expected stride from 1",
    ),
    "a pool of many axes": (
        _step("MaxPool", sizes=dict.fromkeys(("kernel", "stride", "padding", "dilation"), [1] * 9)),
        "expected sizes",
    ),
    "half a sign": (_step("Linear", signed=0.5), "expected true or false"),
}


@pytest.mark.parametrize(("change", "message"), LIES.values(), ids=LIES)
def test_what_makes_no_sense_is_refused(change: Callable[[Any], object], message: str) -> None:
    model, inputs = made("convnet", "W4A4")
    document = json.loads(describe_graph(graph_of(model, inputs.shape[1:])))
    change(document)
    with pytest.raises(ModelError, match=message) as refused:
        graph_of_description(json.dumps(document).encode())
    assert str(refused.value).startswith("expected the description of a network; ")
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff", b'{"steps":1,"steps":2}', b"[" * 10_000])
def test_what_is_no_description_is_refused(text: bytes) -> None:
    with pytest.raises(ModelError, match="expected the description of a network"):
        graph_of_description(text)


def test_zeros_take_no_memory_and_length_is_limited() -> None:
    model, inputs = made("convnet", "W4A4")
    document = json.loads(describe_graph(graph_of(model, inputs.shape[1:])))
    _step("Linear", weights=[2**24, 2**24])(document)
    started = time.process_time()
    graph_of_description(json.dumps(document).encode())
    assert time.process_time() - started < 1
    document["steps"] = document["steps"] * (MOST_STEPS // 8)
    with pytest.raises(ModelError, match=f"steps; expected at most {MOST_STEPS}"):
        graph_of_description(json.dumps(document).encode())
    with pytest.raises(ModelError, match=f"{LONGEST + 1} bytes; expected at most {LONGEST}"):
        graph_of_description(b" " * (LONGEST + 1))
