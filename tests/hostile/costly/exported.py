"""Exported files: ONNX graphs that multiply a constant, and ExecuTorch programs whose lists overlap."""

import struct
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from obliq.io.budget import Budget
from tests.hostile import executorch_files
from tests.hostile.onnx_files import settings, tag
from tests.hostile.sample import onnx_file, quantizer_file

MILLION = 1_000_000


def _altered(
    *nodes: Any, constants: tuple[Any, ...] = (), form: str = "compact", behind: bool = False
) -> bytes:
    """A harmless file with more nodes before its own, or behind them."""
    model = onnx.load_model_from_string(onnx_file(form))
    model.graph.initializer.extend(constants)
    kept = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*kept, *nodes] if behind else [*nodes, *kept])
    return model.SerializeToString()


def _packed(kind: int, elements: int, size: int) -> Any:
    return TensorProto(name="wide", dims=[elements], data_type=kind, raw_data=bytes(size))


def _floats(name: str, values: np.ndarray) -> Any:
    return numpy_helper.from_array(values.astype(np.float32), name)


def casts(kind: int, elements: int, size: int, to: int, count: int = 300) -> bytes:
    """One packed constant, widened again and again."""
    nodes = [helper.make_node("Cast", ["wide"], [f"c{index}"], to=to) for index in range(count)]
    return _altered(*nodes, constants=(_packed(kind, elements, size),))


def products() -> bytes:
    """Codes that are multiplied again and again."""
    factor = numpy_helper.from_array(np.int32(2), "two")
    first = helper.make_node("Cast", ["wide"], ["codes"], to=TensorProto.INT32)
    nodes = [helper.make_node("Mul", ["codes", "two"], [f"m{index}"]) for index in range(300)]
    return _altered(first, *nodes, constants=(_packed(TensorProto.INT4, 2 * MILLION, MILLION), factor))


def units() -> bytes:
    """Rows of scales that are multiplied again and again."""
    rows, one = _floats("rows", np.ones(MILLION // 4)), _floats("one", np.ones(()))
    nodes = [helper.make_node("Mul", ["rows", "one"], [f"u{index}"]) for index in range(600)]
    return _altered(*nodes, constants=(rows, one))


def identities(count: int) -> bytes:
    names = ["input", *(f"i{index:x}" for index in range(count))]
    return _altered(*(helper.make_node("Identity", [a], [b]) for a, b in pairwise(names)))


def shared_weight(count: int = 2000) -> bytes:
    """One float weight that many layers read."""
    model = onnx.load_model_from_string(onnx_file("float"))
    side = 500
    model.graph.input[0].type.tensor_type.shape.CopyFrom(
        helper.make_tensor_type_proto(TensorProto.FLOAT, ["batch", side]).tensor_type.shape
    )
    model.graph.initializer.extend([_floats("w", np.ones((side, side))), _floats("b", np.zeros(side))])
    names = ["input", *(f"g{index}" for index in range(count - 1)), "logits"]
    del model.graph.node[:]
    model.graph.node.extend(
        helper.make_node("Gemm", [a, "w", "b"], [b], transB=1) for a, b in pairwise(names)
    )
    del model.graph.initializer[:-2]
    return model.SerializeToString()


def wide_input() -> bytes:
    """A name that five thousand nodes read two hundred times each."""
    nodes = [helper.make_node("Concat", ["input"] * 250, [f"c{index}"], axis=1) for index in range(5000)]
    return _altered(*nodes)


def many_constants() -> bytes:
    return _altered(constants=tuple(_floats(f"k{index}", np.ones(1)) for index in range(19_000)))


def many_settings() -> bytes:
    node = helper.make_node(
        "MaxPool", ["input"], ["m"], kernel_shape=[1] * 16, pads=[0] * 16, strides=[1] * 16
    )
    return _altered(*[node] * 19_000)


def scales_read_often() -> bytes:
    """A row of scales that every dequantization checks again."""
    codes = numpy_helper.from_array(np.zeros((200_000, 1), np.int8), "wide")
    scales = _floats("rows", np.ones(200_000))
    nodes = [
        helper.make_node("DequantizeLinear", ["wide", "rows"], [f"d{index}"], axis=0)
        for index in range(15_000)
    ]
    return _altered(*nodes, constants=(codes, scales))


def places_read_often() -> bytes:
    """A list of places of an axis that many nodes check again."""
    places = numpy_helper.from_array(np.zeros(500_000, np.int64), "places")
    nodes = [
        helper.make_node("Gather", ["input", "places"], [f"g{index}"], axis=1) for index in range(15_000)
    ]
    return _altered(*nodes, constants=(places,))


def zeros(size: int) -> Callable[[], bytes]:
    return lambda: bytes(size)


def short_fields(field: int, size: int) -> Callable[[], bytes]:
    """A model of nothing but one field, again and again."""
    return lambda: (tag(field, 2) + b"\0") * (size // 2)


def typed_numbers() -> bytes:
    """A constant of another quantizer with a million numbers of one byte each."""
    model = onnx.load_model_from_string(quantizer_file())
    model.graph.initializer.append(
        TensorProto(name="wide", dims=[2**20], data_type=TensorProto.INT8, int32_data=[1] * 2**20)
    )
    return model.SerializeToString()


def foreign_identities() -> bytes:
    model = onnx.load_model_from_string(quantizer_file())
    names = [model.graph.input[0].name, *(f"i{index:x}" for index in range(15_000))]
    kept = list(model.graph.node)
    del model.graph.node[:]
    nodes = [helper.make_node("Identity", [a], [b]) for a, b in pairwise(names)]
    model.graph.node.extend([*nodes, *kept])
    return model.SerializeToString()


def large_layer(inputs: int = 40_000) -> bytes:
    """A sound file of one large layer of 2-bit codes: it is read, and costs what its size explains."""
    from obliq.exporting import Graph
    from obliq.exporting.grids import Grid, Weights
    from obliq.exporting.onnx.writer import to_onnx
    from obliq.exporting.operations.linear import Linear
    from obliq.exporting.operations.quantize import Quantize

    grid = Grid(scale=0.1, bits=8, signed=True, low=-128, high=127)
    codes = np.resize(np.array([-1, 0, 1], np.int8), (1000, inputs))
    weights = Weights(codes=codes, scale=np.full(1000, 0.1, np.float32), bits=2, refinement=64)
    weights = weights.with_bias(np.zeros(1000, np.int32), grid)
    steps = (
        Quantize(name="a", path="input", sources=(), grid=grid),
        Linear(name="b", path="l", sources=("a",), grid=grid, weights=weights),
    )
    return to_onnx(Graph(input_shape=(inputs,), steps=steps), "compact")


def padded(pads: int) -> Callable[[], bytes]:
    def build() -> bytes:
        model = onnx.load_model_from_string(onnx_file("compact"))
        settings("1y", pads=[pads] * 4)(model)
        return model.SerializeToString()

    return build


INT4, INT2 = TensorProto.INT4, 26
ONNX: dict[str, Callable[[], bytes]] = {
    "4-bit constant widened 300 times": lambda: casts(INT4, 2 * MILLION, MILLION, TensorProto.INT32),
    "2-bit constant widened 300 times": lambda: casts(INT2, 2_700_000, 675_000, TensorProto.INT32),
    "4-bit constant cast to bytes 5,000 times": lambda: casts(
        INT4, 2 * MILLION, MILLION, TensorProto.INT8, 5000
    ),
    "codes multiplied 300 times": products,
    "scales multiplied 600 times": units,
    "15,000 identities": lambda: identities(15_000),
    "one weight of 2,000 layers": shared_weight,
    "1,200,000 inputs": wide_input,
    "19,000 constants": many_constants,
    "19,000 nodes of 48 settings": many_settings,
    "scales read 15,000 times": scales_read_often,
    "places read 15,000 times": places_read_often,
    "10 MB of zeros": zeros(10 * MILLION),
    "10 MB of empty fields": short_fields(8, 10 * MILLION),
    "10 MB of empty notes": short_fields(14, 10 * MILLION),
    "10 MB of unknown fields": short_fields(15, 10 * MILLION),
    "a million numbers in a typed field": typed_numbers,
    "15,000 identities of another quantizer": foreign_identities,
    "pads of 1,000": padded(1000),
    "pads of 60,000": padded(60_000),
    "10 MB of 2-bit codes in a sound file": large_layer,
}
"""Files with `.onnx` by name."""


def _tables(data: bytes) -> Iterator[tuple[int, int]]:
    """Where a program has a list of tables, as (place of the count, count); found by their look."""
    for place in range(0, len(data) - 8, 4):
        count = struct.unpack_from("<I", data, place)[0]
        if 4 < count < 1000 and place + 4 + 4 * count < len(data):
            targets = struct.unpack_from(f"<{count}I", data, place + 4)
            if all(0 < one < len(data) for one in targets):
                yield place, count


def overlapping_names() -> bytes:
    """A list of 3,000 constants that all have one name of a million letters."""
    from obliq.exporting.executorch.flatbuffer import root
    from obliq.exporting.executorch.schema import PROGRAM, installed_schema

    good = bytearray(executorch_files.harmless())
    program = root(memoryview(bytes(good)), "Program", installed_schema(PROGRAM), Budget(len(good)))
    field = program.schema.field("Program", "named_data")
    place = program._place(field.slot)
    assert place is not None
    # behind the file: a list of 3,000 offsets to one table, whose name is a text of a million letters
    start = len(good) + -len(good) % 8
    good += bytes(start - len(good))
    count, letters = 3000, MILLION
    table = start + 4 + 4 * count + 8
    vtable = table - 8
    body = struct.pack("<I", count)
    body += b"".join(struct.pack("<I", table - (start + 4 + 4 * index)) for index in range(count))
    key = table + 8
    body += struct.pack(
        "<HHHH", 6, 8, 4, 0
    )  # sizes of the list of slots and of the table, and where the key is
    body += struct.pack("<iI", table - vtable, key - (table + 4))
    body += struct.pack("<I", letters) + b"n" * letters
    good += body
    struct.pack_into("<I", good, place, start - place)
    return bytes(good)


def many_entries() -> bytes:
    """Every list of the program is one list of 100,000 entries."""
    good = bytearray(executorch_files.harmless())
    start = len(good) + -len(good) % 8
    good += bytes(start - len(good)) + struct.pack("<I", 100_000)
    good += b"".join(struct.pack("<I", 400_000 - 4 * index) for index in range(100_000)) + bytes(400_000)
    for place, _ in list(_tables(bytes(good[:start]))):
        for pointer in range(0, place, 4):
            if pointer + struct.unpack_from("<I", good, pointer)[0] == place:
                struct.pack_into("<I", good, pointer, start - pointer)
    return bytes(good)


PROGRAMS: dict[str, Callable[[], bytes]] = {
    "3,000 names of a million letters": overlapping_names,
    "lists of 100,000 entries": many_entries,
    "10 MB of zeros as a program": lambda: b"\0\0\0\0ET12" + bytes(10 * MILLION),
}
"""Files with `.pte` by name; ExecuTorch makes the harmless one."""
