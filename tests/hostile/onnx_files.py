"""Hostile ONNX files: one alteration each of a harmless one."""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.hostile.sample import onnx_file

Alteration = Callable[[Any], object]


def constant(model: Any, name: str) -> Any:
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def node(model: Any, output: str) -> Any:
    return next(node for node in model.graph.node if node.output[0] == output)


def put(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Alteration:
    """Other values for a constant."""

    def alter(model: Any) -> None:
        tensor = constant(model, name)
        tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor).copy()), name))

    return alter


def first(number: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        values.reshape(-1)[0] = number
        return values

    return change


def fields(name: str, /, **values: object) -> Alteration:
    """Other fields of a constant, as they lie in the file."""

    def alter(model: Any) -> None:
        tensor = constant(model, name)
        for field, value in values.items():
            tensor.ClearField(field)
            if isinstance(value, list):
                getattr(tensor, field).extend(value)
            else:
                setattr(tensor, field, value)

    return alter


def settings(output: str, **values: object) -> Alteration:
    """Other attributes of a node."""

    def alter(model: Any) -> None:
        target = node(model, output)
        kept = [one for one in target.attribute if one.name not in values]
        made = [helper.make_attribute(name, value) for name, value in values.items()]
        target.ClearField("attribute")
        target.attribute.extend(kept + made)

    return alter


def becomes(output: str, operator: str, domain: str = "") -> Alteration:
    def alter(model: Any) -> None:
        target = node(model, output)
        target.op_type = operator
        if domain:
            target.domain = domain

    return alter


def called(output: str, name: str) -> Alteration:
    """Another name of a node, not of what it makes."""
    return lambda model: setattr(node(model, output), "name", name)


def both(one: Alteration, other: Alteration) -> Alteration:
    return lambda model: (one(model), other(model))


def reads(output: str, *inputs: str) -> Alteration:
    def alter(model: Any) -> None:
        target = node(model, output)
        target.ClearField("input")
        target.input.extend(inputs)

    return alter


def adds(*nodes: Any, constants: tuple[Any, ...] = ()) -> Alteration:
    def alter(model: Any) -> None:
        model.graph.initializer.extend(constants)
        for made in reversed(nodes):
            model.graph.node.insert(0, made)

    return alter


def external(location: str, **entries: str) -> Alteration:
    def alter(model: Any) -> None:
        tensor = constant(model, "3p")
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **entries}.items():
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value

    return alter


def subgraph(model: Any) -> None:
    body = helper.make_graph([], "body", [], [])
    node(model, "_9").attribute.append(helper.make_attribute("then_branch", body))


def function(model: Any) -> None:
    sets = [helper.make_opsetid("", 21)]
    model.functions.append(helper.make_function("local", "F", ["x"], ["y"], [], sets))


def sparse(model: Any) -> None:
    values = helper.make_tensor("hidden", TensorProto.FLOAT, [1], [1.0])
    places = helper.make_tensor("places", TensorProto.INT64, [1], [0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [4]))


def dimension(index: int, size: int) -> Alteration:
    def alter(model: Any) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[index].dim_value = size

    return alter


def opset(domain: str, version: int, *, instead: bool = False) -> Alteration:
    def alter(model: Any) -> None:
        if instead:
            model.ClearField("opset_import")
        model.opset_import.append(helper.make_opsetid(domain, version))

    return alter


def without(output: str) -> Alteration:
    return lambda model: model.graph.node.remove(node(model, output))


hidden = numpy_helper.from_array(np.frombuffer(b"PK\x03\x04 anything at all", np.uint8), "hidden")

ALTERED: dict[str, Alteration] = {
    "external data": external("weights.bin", offset="0", length="72"),
    "external data of another folder": external("../../../../etc/passwd"),
    "external data by absolute path": external("/etc/passwd"),
    "external data in memory": external("*/_ORT_MEM_ADDR_/*", offset="4096", length="64"),
    "operator of another domain": becomes("_9", "Flatten", "com.microsoft"),
    "custom operator library": becomes("_9", "Run", "evil.ops"),
    "loop": becomes("_9", "Loop"),
    "operator with a state": becomes("_9", "RandomNormalLike"),
    "sub-graph": subgraph,
    "local function": function,
    "training information": lambda model: model.training_info.add(),
    "sparse constant": sparse,
    "metadata": lambda model: model.metadata_props.add(key="a", value="b"),
    "documentation": lambda model: setattr(model, "doc_string", "<script>alert(1)</script>"),
    "second domain": opset("com.microsoft", 1),
    "operators too old": opset("", 7, instead=True),
    "operators of the future": opset("", 999, instead=True),
    "another format version": lambda model: setattr(model, "ir_version", 3),
    "negative scale": put("3k", first(-0.1)),
    "scale of nothing": put("3k", first(0)),
    "denormal scale": put("3s", lambda _: np.float32(1e-41)),
    "scale that is no number": put("1s", lambda _: np.float32(np.nan)),
    "infinite scale": put("4k", first(np.inf)),
    "scales of double precision": put("3k", lambda values: values.astype(np.float64)),
    "too few scales": put("3k", lambda values: values[:-1]),
    "too many scales": put("3k", lambda values: np.append(values, values)),
    "one scale for all": put("3k", lambda values: values[0]),
    "zero point that no grid has": put("=0", lambda _: np.uint8(7)),
    "zero point of another type": put("=0", lambda _: np.int8(0)),
    "zero points of weights": put("7z", first(1)),
    "axis beyond the rank": settings("3w", axis=4),
    "negative axis": settings("3w", axis=-4),
    "weights beyond the symmetric range": put("1p", first(-128)),
    "packed codes too short": lambda model: setattr(constant(model, "3p"), "raw_data", b"\x00" * 53),
    "packed codes too long": lambda model: setattr(constant(model, "3p"), "raw_data", b"\x00" * 108),
    "filling that is not zero": lambda model: setattr(constant(model, "4p"), "raw_data", b"\x11" * 8),
    "values in a second place": fields("1s", float_data=[1.0]),
    "values in no place": lambda model: constant(model, "1s").ClearField("raw_data"),
    "texts as values": fields("1s", data_type=8, string_data=[b"x"]),
    "unknown element type": fields("1s", data_type=99),
    "complex numbers": fields("1s", data_type=14),
    "shape that overflows": fields("3p", dims=[2**32, 2**32, 1, 1]),
    "negative size": fields("3p", dims=[-3, 4, -3, 3]),
    "size of zero": fields("3p", dims=[0, 4, 3, 3]),
    "nine axes": fields("3p", dims=[1] * 9),
    "segment of a tensor": lambda model: setattr(constant(model, "3p").segment, "end", 2**40),
    "two constants of one name": lambda model: model.graph.initializer.append(constant(model, "1s")),
    "name without an end": fields("7z", name="x" * 100_000),
    "name with a line break": fields("7z", name="7\nz"),
    "name that turns the text around": fields("7z", name="\u202e10.zeros"),
    "layer whose name turns the text around": called("3y", "\u202e4"),
    "layer whose name has no end": called("3y", "x" * 100_000),
    "name of what is no layer": called("_9", "flatten"),
    "value that reads itself": reads("_9", "_9"),
    "values out of order": lambda model: model.graph.node.insert(0, node(model, "logits")),
    "value made twice": lambda model: model.graph.node.append(node(model, "logits")),
    "value that nobody makes": reads("_9", "nothing"),
    "constant that nobody reads": adds(constants=(hidden,)),
    "value that nobody reads": adds(helper.make_node("QuantizeLinear", ["input", "0s", "=128"], ["unread"])),
    "bias on another grid": reads("3u", "3k", "3s"),
    "unit of two rows of scales": reads("3u", "3k", "3k"),
    "unit of an activation": reads("3u", "0r", "1s"),
    "unit beyond any number": both(put("1k", first(1e36)), put("0s", lambda _: np.float32(1e36))),
    "codes times a scale": reads("3f", "3c", "1s"),
    "bias of another size": put("3a", lambda values: values[:-1]),
    "sums beyond int32": put("3a", first(2**31 - 1)),
    "bounds the wrong way round": reads("_0_output", "1q", "=15", "=0"),
    "pads to fill any memory": settings("1y", pads=[2**15] * 4),
    "pads beyond counting": settings("1y", pads=[2**62] * 4),
    "negative pads": settings("1y", pads=[-1] * 4),
    "padding wider than the pool": settings("_3", pads=[2] * 4),
    "stride of zero": settings("_3", strides=[0, 0]),
    "three strides": settings("_3", strides=[1, 1, 1]),
    "kernel larger than the picture": settings("_3", kernel_shape=[50, 50]),
    "groups of zero": settings("3y", group=0),
    "groups that do not divide": settings("3y", group=3),
    "transposed weights": settings("7y", transB=0),
    "unknown setting": settings("7y", alpha=1),
    "setting in another form": settings("3y", group=1.5),
    "text as a setting": settings("1y", auto_pad="SAME_UPPER"),
    "factor that overflows bytes": put("*16", lambda _: np.int32(1000)),
    "factor below zero": put("*16", lambda _: np.int32(-16)),
    "cast to text": settings("3c", to=TensorProto.STRING),
    "input beyond any memory": dimension(2, 2**31),
    "input of a negative size": dimension(2, -8),
    "fixed batch": dimension(0, 1),
    "second output": lambda model: model.graph.output.append(model.graph.output[0]),
    "input of bytes": lambda model: setattr(model.graph.input[0].type.tensor_type, "elem_type", 2),
    "input called otherwise": lambda model: setattr(model.graph.input[0], "name", "image"),
    "quantized constants as pictures": reads("network_input", "1s", "0s", "=128"),
    "layer left out": without("_10_output"),
    "annotation of a grid": lambda model: model.graph.quantization_annotation.add(tensor_name="3p"),
    "thirty thousand nodes": lambda model: model.graph.node.extend([onnx.NodeProto()] * 30_000),
}
"""By name: what is done to the compact file."""


def tag(number: int, wire: int) -> bytes:
    return bytes([number << 3 | wire])


def raw_files() -> dict[str, bytes]:
    """Files that no library writes."""
    good = onnx_file("compact")
    floats = onnx.load_model_from_string(onnx_file("float"))
    put("4.weight", first(np.nan))(floats)
    return {
        "nothing": b"",
        "cut in the middle": good[: len(good) // 2],
        "last byte missing": good[:-1],
        "an archive behind it": good + b"PK\x05\x06" + bytes(18),
        "second graph": good + tag(7, 2) + b"\x00",
        "second format version": good + tag(1, 0) + b"\x08",
        "number longer than need be": tag(1, 0) + b"\x8a\x00" + good[2:],
        "number without an end": tag(1, 0) + b"\xff" * 30,
        "length beyond the file": tag(7, 2) + b"\xff\xff\xff\xff\x7f",
        "group of the old format": good + tag(4, 3) + tag(4, 4),
        "field number of zero": good + b"\x02\x00",
        "pickle": pickle.dumps({"weights": [1, 2, 3]}),
        "archive": b"PK\x03\x04" + bytes(200),
        "weights that are no numbers": floats.SerializeToString(),
        "only zeros": bytes(5000),
        "nested to the bottom": tag(7, 2) * 5000,
    }


def all_files() -> dict[str, bytes]:
    """Every hostile ONNX file by its name."""
    made = {}
    for name, alter in ALTERED.items():
        model = onnx.load_model_from_string(onnx_file("compact"))
        alter(model)
        made[name] = model.SerializeToString()
    return made | raw_files()
