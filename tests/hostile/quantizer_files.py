"""Hostile files that say they are of another quantizer: one alteration each of a harmless one.

The list for those files is longer than for ours. These cases try what it lets in: names of one's own, typed fields,
declared shapes, notes, settings that repeat the usual, zero points of any value, nodes that make constants.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.exporting import producer_files, qdq_files
from tests.hostile import onnx_files
from tests.hostile.onnx_files import adds, constant, fields, first, node, opset, put, reads, settings, tag
from tests.hostile.sample import quantizer_file

Alteration = Callable[[Any], object]
IMAGE, CONV, POOLED = "image_QuantizeLinear_Output", "/2/Relu_output_0", "/3/MaxPool_output_0"
WEIGHT, SCALE, UNIT, BIAS = (
    "4.weight_quantized",
    "4.weight_scale",
    "4.bias_quantized_scale",
    "4.bias_quantized",
)
FIRST, PART = "onnx::Conv_24_DequantizeLinear_Output", "4.weight_DequantizeLinear_Output"
BOUND = "/5/Constant_output_0"


def declared(name: str, change: Callable[[Any], object]) -> Alteration:
    """Another statement about a value."""

    def alter(model: Any) -> None:
        values = [*model.graph.value_info, *model.graph.input, *model.graph.output]
        change(next(value for value in values if value.name == name).type.tensor_type)

    return alter


def note(where: str, key: str, value: str = "{}") -> Alteration:
    """A note of the model, its graph, or its first node."""

    def alter(model: Any) -> None:
        place = {"model": model, "graph": model.graph, "node": model.graph.node[2]}[where]
        place.metadata_props.add(key=key, value=value)

    return alter


def domain(output: str, name: str) -> Alteration:
    return lambda model: setattr(node(model, output), "domain", name)


def made(**values: object) -> Alteration:
    """Another attribute of the node that makes a bound."""

    def alter(model: Any) -> None:
        target = node(model, BOUND)
        target.ClearField("attribute")
        target.attribute.extend([helper.make_attribute(name, value) for name, value in values.items()])

    return alter


def many(size: int) -> Any:
    return numpy_helper.from_array(np.zeros(size, np.float32))


def other_end(name: str) -> Alteration:
    def alter(model: Any) -> None:
        model.graph.input[0].name = name
        for one in model.graph.node:
            for place, value in enumerate(one.input):
                if value == "image":
                    one.input[place] = name

    return alter


def crowd(model: Any) -> None:
    for number in range(70):
        tensor = model.graph.initializer.add()
        tensor.name, tensor.data_type = f"crowd {number}", TensorProto.INT8
        tensor.dims.append(2**14)
        tensor.int32_data.extend([1] * 2**14)


def clamped_bytes(model: Any) -> None:
    target = node(model, POOLED)
    target.ClearField("attribute")
    target.op_type = "Clip"
    target.input[0] = "/2/Relu_output_0_QuantizeLinear_Output"
    target.input.extend([BOUND, "/5/Constant_1_output_0"])


def external(model: Any) -> None:
    tensor = constant(model, WEIGHT)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../../etc/passwd"


ALTERED: dict[str, Alteration] = {
    "foreign external data": external,
    "foreign sub-graph": lambda model: node(model, POOLED).attribute.append(
        helper.make_attribute("body", helper.make_graph([], "body", [], []))
    ),
    "foreign function": onnx_files.function,
    "foreign sparse constant": onnx_files.sparse,
    "foreign training information": lambda model: model.training_info.add(),
    "foreign operator of Microsoft": domain(POOLED, "com.microsoft"),
    "foreign operator of another domain": domain(POOLED, "evil.ops"),
    "foreign second set of operators": opset("ai.onnx", 17),
    "foreign unknown domain": opset("evil.ops", 1),
    "foreign operators of the future": opset("", 99, instead=True),
    "foreign operators without scales by channel": opset("", 11, instead=True),
    "foreign format of the future": lambda model: setattr(model, "ir_version", 99),
    "foreign options for the runtime": note("model", "ort_config", '{"session_options": {}}'),
    "foreign note of nobody": note("graph", ""),
    "foreign note on a node": note("node", "ort.kernel", "x" * 100),
    "foreign notes without end": lambda model: [note("graph", "namespace")(model) for _ in range(20)],
    "foreign padding by name": settings("/5/Clip_output_0", auto_pad="SAME_UPPER"),
    "foreign padding by a long name": settings("/5/Clip_output_0", auto_pad="N" * 100_000),
    "foreign product times two": settings("answer_QuantizeLinear_Input", alpha=2.0),
    "foreign product times no number": settings("answer_QuantizeLinear_Input", alpha=float("nan")),
    "foreign transposed input": settings("answer_QuantizeLinear_Input", transA=1),
    "foreign sizes rounded up": settings(POOLED, ceil_mode=1),
    "foreign order of columns": settings(POOLED, storage_order=1),
    "foreign tensor as a setting": settings(POOLED, value=many(4)),
    "foreign kernel that is not the weight's": settings(CONV, kernel_shape=[5, 5]),
    "foreign kernel without axes": settings(CONV, kernel_shape=[3]),
    "foreign axis of nowhere": settings(IMAGE, axis=2**40),
    "foreign scales along the inputs": settings(PART, axis=1),
    "foreign scales without an axis": lambda model: node(model, PART).ClearField("attribute"),
    "foreign too few scales": put(SCALE, lambda values: values[:-1]),
    "foreign scale of nothing": put(SCALE, first(0)),
    "foreign scale below zero": put("image_scale", lambda _: np.float32(-1)),
    "foreign scale that is no number": put("image_scale", lambda _: np.float32(np.nan)),
    "foreign scale of double precision": put(SCALE, lambda values: values.astype(np.float64)),
    "foreign zero points of weights": put("4.weight_zero_point", first(1)),
    "foreign zero points of a bias": put("4.bias_quantized_zero_point", first(1)),
    "foreign zero point of another type": put("image_zero_point", lambda _: np.uint16(3)),
    "foreign zero points by channel": put("image_zero_point", lambda _: np.zeros(4, np.uint8)),
    "foreign zero point of 32 bits": put("image_zero_point", lambda _: np.int32(3)),
    "foreign zero point beyond a byte": fields("image_zero_point", int32_data=[300]),
    "foreign zero point below a byte": fields("image_zero_point", int32_data=[-1]),
    "foreign other zero point on the way back": reads(
        "image_DequantizeLinear_Output", IMAGE, "image_scale", "answer_zero_point"
    ),
    "foreign other scale on the way back": reads(
        "image_DequantizeLinear_Output", IMAGE, "answer_scale", "image_zero_point"
    ),
    "foreign bias on another grid": put(UNIT, lambda values: values * np.float32(2)),
    "foreign bias of another size": put(BIAS, lambda values: values[:-1]),
    "foreign sums beyond int32": put(BIAS, first(2**31 - 1)),
    "foreign weights as activations": reads(CONV, PART, PART, "onnx::Conv_25"),
    "foreign activation as weights": reads(CONV, "image_DequantizeLinear_Output", CONV, "onnx::Conv_25"),
    "foreign layer without a bias": reads(CONV, "image_DequantizeLinear_Output", FIRST),
    "foreign values in two fields": fields("image_scale", raw_data=b"\0\0\x80\x3f"),
    "foreign values in no field": lambda model: constant(model, "image_scale").ClearField("float_data"),
    "foreign values in another type's field": fields("image_scale", float_data=[], int32_data=[1]),
    "foreign too many typed values": fields("image_scale", float_data=[1.0] * 4),
    "foreign endless typed values": fields(
        "image_zero_point", dims=[2**20 + 1], int32_data=[1] * (2**20 + 1)
    ),
    "foreign typed values in many constants": crowd,
    "foreign texts as values": fields("image_scale", data_type=8, string_data=[b"x"]),
    "foreign doubles as values": fields("image_scale", data_type=11, double_data=[1.0]),
    "foreign shape that overflows": fields(WEIGHT, dims=[2**32, 2**32, 1, 1]),
    "foreign negative size": fields(WEIGHT, dims=[-3, 4, -3, 3]),
    "foreign two constants of one name": lambda model: model.graph.initializer.append(
        constant(model, "image_scale")
    ),
    "foreign constant that a node makes again": lambda model: setattr(
        constant(model, "image_scale"), "name", BOUND
    ),
    "foreign constant that nobody reads": adds(constants=(onnx_files.hidden,)),
    "foreign constant made of much": made(value=many(17)),
    "foreign constant made of nothing": made(value=many(0)),
    "foreign constant made of text": made(value_string="x"),
    "foreign constant made twice": made(value=many(1), value_float=1.0),
    "foreign constant made of an input": lambda model: node(model, BOUND).input.append("image"),
    "foreign declared type": declared("/3/MaxPool_output_0", lambda one: setattr(one, "elem_type", 3)),
    "foreign declared size": declared(POOLED, lambda one: setattr(one.shape.dim[2], "dim_value", 9)),
    "foreign declared axes": declared(POOLED, lambda one: one.shape.dim.add()),
    "foreign declared batch": declared(POOLED, lambda one: setattr(one.shape.dim[0], "dim_value", 1)),
    "foreign declared classes": declared("answer", lambda one: setattr(one.shape.dim[1], "dim_value", 7)),
    "foreign declared bytes": declared("image", lambda one: setattr(one, "elem_type", 2)),
    "foreign fixed batch": declared("image", lambda one: setattr(one.shape.dim[0], "dim_value", 2)),
    "foreign input beyond any memory": declared(
        "image", lambda one: setattr(one.shape.dim[2], "dim_value", 2**31)
    ),
    "foreign second input": lambda model: model.graph.input.append(model.graph.input[0]),
    "foreign second output": lambda model: model.graph.output.append(model.graph.output[0]),
    "foreign output that goes in": lambda model: setattr(model.graph.output[0], "name", "image"),
    "foreign input called as a constant": other_end("image_scale"),
    "foreign input without a name": other_end(""),
    "foreign value that reads itself": reads(POOLED, POOLED),
    "foreign value that nobody makes": reads(POOLED, "nothing"),
    "foreign bytes that are clamped": clamped_bytes,
    "foreign pads to fill any memory": settings(CONV, pads=[2**15] * 4),
    "foreign groups that do not divide": settings("/5/Clip_output_0", group=3),
    "foreign stride of zero": settings(POOLED, strides=[0, 0]),
    "foreign name with a line break": fields("image_scale", name="image\nscale"),
    "foreign version without an end": lambda model: setattr(model, "producer_version", "x" * 100_000),
}
"""By name: what is done to the file of ONNX Runtime's quantizer."""


def flowing_shape(model: Any) -> None:
    next(one for one in model.graph.node if one.op_type == "Reshape").input[1] = "image"


RESHAPED: dict[str, Alteration] = {
    "foreign shape of another size": put("row", lambda _: np.array([-1, 63])),
    "foreign shape without a free batch": put("row", lambda _: np.array([1, 64])),
    "foreign shape of three axes": put("row", lambda _: np.array([-1, 64, 1])),
    "foreign shape beyond counting": put("row", lambda _: np.array([-1, 2**62])),
    "foreign shape as reals": put("row", lambda _: np.array([-1, 64], np.float32)),
    "foreign shape of zero": put("row", lambda _: np.array([0, 64])),
    "foreign shape that flows": flowing_shape,
    "foreign mean over channels": put("axes", lambda _: np.array([1, 2])),
    "foreign mean over the batch": put("axes", lambda _: np.array([0, 2, 3])),
    "foreign mean of nowhere": put("axes", lambda _: np.array([-1, 2**40])),
    "foreign mean over one axis twice": put("axes", lambda _: np.array([2, -2])),
    "foreign mean of a million axes": put("axes", lambda _: np.full(10**6, 2)),
    "foreign bias that is no number": put("onnx::Conv_37", first(np.nan)),
    "foreign bias of too many": put("onnx::Conv_37", lambda values: np.append(values, values)),
}
"""By name: what is done to a file as torch.onnx writes it of PT2E."""


def forms() -> bytes:
    """A file of somebody with the operators that need more than scales: sizes, parts, functions with settings."""
    draft = producer_files.begun()
    value = draft.at
    zero, two = draft.constant([0], np.int64, "zero"), draft.constant([2], np.int64, "two")
    channels = draft.node("Gather", draft.node("Shape", value), draft.constant([1], np.int64, "one"), axis=0)
    half = draft.node("Div", channels, two)
    first_half = draft.node("Slice", value, zero, half, draft.constant([1], np.int64, "along"))
    parts = draft.node(
        "Split", value, draft.constant([2, 2], np.int64, "lengths"), outputs=["low", "high"], axis=1
    )
    draft.node("Concat", first_half, "high", parts, axis=1)
    draft.node("HardSigmoid", alpha=0.3, beta=0.4)
    draft.node("Pad", draft.at, draft.constant([0, 0, 1, 1, 0, 0, 1, 1], np.int64, "pads"))
    scales = draft.constant([1, 1, 2, 2], np.float32, "times")
    how = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
    draft.node("Resize", draft.at, "", scales, **how)
    parameters = ([1.0] * 6, [0.0] * 6, [0.0] * 6, [1.0] * 6)
    names = [draft.constant(one, np.float32, f"norm {place}") for place, one in enumerate(parameters)]
    draft.node("BatchNormalization", draft.at, *names)
    draft.node("Transpose", perm=[0, 2, 3, 1])
    draft.node("Reshape", draft.at, draft.constant([-1, 6 * 16 * 16], np.int64, "row"))
    draft.rounded()
    draft.matrix(6 * 16 * 16)
    return draft.file()


def _setting_of(operator: str, **values: object) -> Alteration:
    """Another value for a setting of the only node of an operator."""

    def alter(model: Any) -> None:
        target = next(one for one in model.graph.node if one.op_type == operator)
        kept = [one for one in target.attribute if one.name not in values]
        target.ClearField("attribute")
        target.attribute.extend(
            [*kept, *(helper.make_attribute(name, value) for name, value in values.items())]
        )

    return alter


def _cycle(model: Any) -> None:
    nodes = {one.op_type: one for one in model.graph.node}
    nodes["Slice"].input[0] = nodes["Transpose"].output[0]


def _same_name_twice(model: Any) -> None:
    next(one for one in model.graph.node if one.op_type == "Split").output[1] = "low"


def _without(operator: str, place: int) -> Alteration:
    """A node that lacks one of its inputs."""

    def alter(model: Any) -> None:
        target = next(one for one in model.graph.node if one.op_type == operator)
        kept = list(target.input)
        del kept[place]
        target.ClearField("input")
        target.input.extend(kept)

    return alter


def _elsewhere(model: Any) -> None:
    tensor = constant(model, "row")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "../../../../etc/passwd"), ("offset", "0"), ("length", "16")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value


def _flows_into(operator: str, place: int) -> Alteration:
    def alter(model: Any) -> None:
        next(one for one in model.graph.node if one.op_type == operator).input[place] = "image"

    return alter


PRODUCED: dict[str, Alteration] = {
    "foreign cycle": _cycle,
    "foreign part of two names alike": _same_name_twice,
    "foreign part with a number of its own": _setting_of("Split", part=3),
    "foreign parts beyond the axis": put("lengths", lambda _: np.array([2, 2**40])),
    "foreign parts below zero": put("lengths", lambda _: np.array([5, -1])),
    "foreign row beyond any memory": put("row", lambda _: np.array([-1, 2**62])),
    "foreign row that only a batch would fill": put("row", lambda _: np.array([-(2**40), 1536])),
    "foreign row of another batch": put("row", lambda _: np.array([2, 768])),
    "foreign row in another file": _elsewhere,
    "foreign pads of a terabyte": put("pads", lambda _: np.array([0, 0, 0, 0, 0, 0, 2**40, 0])),
    "foreign pads below zero": put("pads", lambda _: np.array([0, 0, -1, 0, 0, 0, 0, 0])),
    "foreign pads of the batch": put("pads", lambda _: np.array([1, 0, 0, 0, 0, 0, 0, 0])),
    "foreign sizes times a billion": put("times", lambda _: np.array([1, 1, 1e9, 1], np.float32)),
    "foreign sizes times no number": put("times", lambda _: np.array([1, 1, np.nan, 1], np.float32)),
    "foreign sizes times less than one": put("times", lambda _: np.array([1, 1, 0.5, -2], np.float32)),
    "foreign slope beyond numbers": _setting_of("HardSigmoid", alpha=float("inf")),
    "foreign slope as a word": _setting_of("HardSigmoid", alpha="0.3"),
    "foreign variance below zero": put("norm 3", first(-2)),
    "foreign mean that is no number": put("norm 2", first(np.nan)),
    "foreign mean of too many": put("norm 2", lambda values: np.append(values, values)),
    "foreign channels divided by zero": put("two", lambda _: np.array([0])),
    "foreign channels of the batch": put("one", lambda _: np.array([0])),
    "foreign channel of nowhere": put("one", lambda _: np.array([2**40])),
    "foreign slice along the batch": put("along", lambda _: np.array([0])),
    "foreign slice of flowing bounds": _flows_into("Slice", 1),
    "foreign axes beyond counting": _setting_of("Transpose", perm=[0, 2, 3, 2**40]),
    "foreign axes that mix samples": _setting_of("Transpose", perm=[2, 0, 3, 1]),
    "foreign rounding without a scale": _without("DequantizeLinear", 1),
    "foreign rounding of nothing": _without("QuantizeLinear", 0),
    "foreign rounding to blocks": _setting_of("QuantizeLinear", block_size=4),
    "foreign rounding to 16 bits": _setting_of("QuantizeLinear", output_dtype=5),
    "foreign concatenation of samples": _setting_of("Concat", axis=0),
    "foreign resize of another kind": _setting_of("Resize", mode="cubic"),
}
"""By name: what is done to a file with more operators than ONNX Runtime's quantizer writes for a plain network."""


def raw_files() -> dict[str, bytes]:
    """Files that no library writes."""
    good = quantizer_file()
    return {
        "foreign cut in the middle": good[: len(good) // 2],
        "foreign last byte missing": good[:-1],
        "foreign archive behind it": good + b"PK\x05\x06" + bytes(18),
        "foreign second graph": good + tag(7, 2) + b"\x00",
        "foreign second producer": good + tag(2, 2) + b"\x05obliq",
        "foreign number without an end": good + tag(1, 0) + b"\xff" * 30,
        "foreign name alone": tag(2, 2) + b"\x0donnx.quantize",
        "foreign typed number in many bytes": _typed(good, b"\xf4\x80\x00"),
        "foreign typed number without an end": _typed(good, b"\xf4"),
    }


def _typed(good: bytes, number: bytes) -> bytes:
    """The zero point of the input as these bytes."""
    before = onnx.load_model_from_string(good)
    tensor = constant(before, "image_zero_point")
    name = tag(8, 2) + bytes([len(tensor.name)]) + tensor.name.encode()
    new = tag(2, 0) + b"\x02" + tag(5, 2) + bytes([len(number)]) + number + name
    del before.graph.initializer[:]
    rest = before.SerializeToString()
    graph = before.graph.SerializeToString()
    entry = tag(5, 2) + bytes([len(new)]) + new
    joined = graph + entry
    return rest.replace(tag(7, 2) + _length(len(graph)) + graph, tag(7, 2) + _length(len(joined)) + joined)


def _length(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def all_files() -> dict[str, bytes]:
    """Every one of them by its name."""
    written = {name: qdq_files.altered(quantizer_file(), alter) for name, alter in ALTERED.items()}
    written |= {name: qdq_files.altered(qdq_files.like_pt2e(), alter) for name, alter in RESHAPED.items()}
    written |= {name: qdq_files.altered(forms(), alter) for name, alter in PRODUCED.items()}
    return written | raw_files()
