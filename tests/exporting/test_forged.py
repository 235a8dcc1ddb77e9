"""Files of other answers that could pass for a network's: the graph that a digest is of is all that a file holds."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from obliq.errors import ModelError
from obliq.exporting import export_file, graph_of, parse_exported, patch_file, to_onnx
from obliq.exporting.operations import Flatten
from tests.exporting.networks import made

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")


def rewritten(data: bytes, change: Callable[[Any], object]) -> bytes:
    model = onnx.load_model_from_string(data)
    change(model.graph)
    written: bytes = model.SerializeToString()
    return written


def _other_steps(graph: Any) -> None:
    """The last codes are read in other steps than they were rounded to."""
    graph.initializer.append(onnx.numpy_helper.from_array(np.array(2.0, np.float32), "other"))
    graph.node[-1].input[1] = "other"


def _clamped_twice(graph: Any) -> None:
    """The second clamp is the wider one, and does nothing."""
    place, clip = next((i, node) for i, node in enumerate(graph.node) if node.op_type == "Clip")
    ends = [onnx.numpy_helper.from_array(np.array(end, np.uint8), f"end{end}") for end in (0, 255)]
    graph.initializer.extend(ends)
    last, clip.output[0] = clip.output[0], "between"
    graph.node.insert(place + 1, onnx.helper.make_node("Clip", ["between", "end0", "end255"], [last]))


def _permuted(graph: Any) -> None:
    """Another layer behind the last one, whose sums are not rounded: it exchanges the classes."""
    last, classes = graph.node[-1], 10
    scale = next(onnx.numpy_helper.to_array(one) for one in graph.initializer if one.name == last.input[1])
    last.output[0] = "before"
    parts = {
        "w": np.roll(np.eye(classes, dtype=np.int8), 1, axis=0),
        "k": np.ones(classes, np.float32),
        "z": np.zeros(classes, np.int8),
        "b": np.zeros(classes, np.int32),
        "u": np.full(classes, scale, np.float32),
    }
    graph.initializer.extend(
        onnx.numpy_helper.from_array(values, f"x{name}") for name, values in parts.items()
    )
    make = onnx.helper.make_node
    graph.node.append(make("DequantizeLinear", ["xw", "xk", "xz"], ["xW"], axis=0))
    graph.node.append(make("DequantizeLinear", ["xb", "xu"], ["xB"], axis=0))
    graph.node.append(make("Gemm", ["before", "xW", "xB"], ["logits"], transB=1))


def _doubled(graph: Any) -> None:
    graph.node[-1].output[0] = "before"
    graph.node.append(onnx.helper.make_node("Add", ["before", "before"], ["logits"]))


def _two_of_one_name(graph: Any) -> None:
    first, second = [node for node in graph.node if node.op_type == "Conv"][:2]
    first.name = second.name


def _narrow_bias(graph: Any) -> None:
    """A bias of zeros in 4 bits, widened to int32."""
    old = next(one for one in graph.initializer if one.data_type == onnx.TensorProto.INT32 and one.dims)
    place, node = next((i, one) for i, one in enumerate(graph.node) if one.input[0] == old.name)
    zeros = onnx.helper.make_tensor(
        old.name, onnx.TensorProto.INT4, list(old.dims), bytes(old.dims[0] // 2), raw=True
    )
    graph.initializer.remove(old)
    graph.initializer.append(zeros)
    node.input[0] = "wide"
    cast = onnx.helper.make_node("Cast", [zeros.name], ["wide"], to=onnx.TensorProto.INT32)
    graph.node.insert(place, cast)


def _computed_factor(graph: Any) -> None:
    """Codes are multiplied by a factor of 4 bits, which a node widens."""
    factors = ((i, node) for i, node in enumerate(graph.node) if node.op_type == "Mul")
    place, first = next((i, node) for i, node in factors if node.input[1].startswith("*"))
    graph.initializer.append(onnx.helper.make_tensor("narrow", onnx.TensorProto.INT4, [], b"\x04", raw=True))
    graph.node.insert(place, onnx.helper.make_node("Cast", ["narrow"], ["four"], to=onnx.TensorProto.INT32))
    old = first.input[1]
    graph.initializer.remove(next(one for one in graph.initializer if one.name == old))
    for node in graph.node:
        node.input[:] = ["four" if name == old else name for name in node.input]


def _another_name(graph: Any) -> None:
    """A value in between is called otherwise: harmless, but no file of ours."""
    clip = next(node for node in graph.node if node.op_type == "Clip")
    old = clip.input[0]
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = ["else" if name == old else name for name in names]


FORGERIES: dict[str, tuple[Callable[[Any], object], str]] = {
    "other steps": (_other_steps, "is read in steps and around a zero of"),
    "clamped twice": (_clamped_twice, "right behind a rounding, and once"),
    "a layer behind the last": (_permuted, "is not what the last rounding gave"),
    "a sum behind the last": (_doubled, "is not what the last rounding gave"),
    "two layers of one name": (_two_of_one_name, "expected a layer's name, once"),
    "a bias of 4 bits": (_narrow_bias, "a bias in int4 times 1"),
    "a factor that is computed": (_computed_factor, "Mul that makes .* is not read as a step"),
    "another name": (_another_name, "would not be written again as it is"),
}


@pytest.mark.parametrize(("change", "message"), FORGERIES.values(), ids=FORGERIES)
def test_a_file_that_holds_more_than_its_graph_has_no_digest(
    change: Callable[[Any], object], message: str
) -> None:
    model, inputs = made("convnet", "W4A4")
    file = parse_exported(rewritten(export_file(model, inputs.shape[1:], "compact"), change))
    with pytest.raises(ModelError, match=message):
        assert file.content_digest


def test_a_long_chain_of_steps_is_no_matter() -> None:
    model, inputs = made("convnet", "W4A4")
    graph = graph_of(model, inputs.shape[1:])
    at = next(place for place, step in enumerate(graph.steps) if isinstance(step, Flatten))
    chain = [graph.steps[at]]
    for number in range(1100):  # more than Python recurses
        chain.append(dataclasses.replace(chain[-1], name=f"again_{number}", sources=(chain[-1].name,)))
    rest = [dataclasses.replace(step, sources=(chain[-1].name,)) for step in graph.steps[at + 1 :]]
    long = dataclasses.replace(graph, steps=(*graph.steps[:at], *chain, *rest))
    data = to_onnx(long, "compact")
    file = parse_exported(data)
    assert patch_file(file, file.content) == data
