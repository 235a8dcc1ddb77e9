"""Hostile ExecuTorch programs: one alteration each of a harmless one, and other files under their name."""

import functools
import importlib.util
import struct
import warnings
from collections.abc import Callable

import numpy as np

from obliq.exporting import Graph, export_file, graph_of
from obliq.exporting.description import describe_graph
from tests.hostile import sample

INSTALLED = importlib.util.find_spec("executorch") is not None


@functools.cache
def harmless() -> bytes:
    """A program with every kind of operator that a small image network has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own imports warn
        return export_file(sample.network(), sample.SHAPE, to="executorch")


def _number(place: int, value: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:place] + struct.pack("<I", value) + data[place + 4 :]


def _step(value: float) -> Callable[[bytes], bytes]:
    """Another size of the steps that inputs are rounded to."""
    old, new = (np.float32(one).tobytes() for one in (_graph().steps[0].grid.scale, value))
    return lambda data: data.replace(old, new)


def _graph() -> Graph:
    return graph_of(sample.network(), sample.SHAPE)


def _described(old: str, new: str) -> Callable[[bytes], bytes]:
    """Another description of the network, as long as the old one, so that nothing else moves."""

    def alter(data: bytes) -> bytes:
        text = describe_graph(_graph())
        lie = text.replace(old, new, 1)
        assert (data.count(text.encode()), len(lie), lie == text) == (1, len(text), False)
        return data.replace(text.encode(), lie.encode())

    return alter


def _backend(data: bytes) -> bytes:
    return data.replace(b"XnnpackBackend", b"OtherBackend\0\0")


ALTERED: dict[str, Callable[[bytes], bytes]] = {
    "program of no bytes": lambda _: b"",
    "program of its first half": lambda data: data[: len(data) // 2],
    "program without its last byte": lambda data: data[:-1],
    "program with a byte behind it": lambda data: data + b"\0",
    "program with another program behind it": lambda data: data * 2,
    "program of another format": lambda data: data[:4] + b"ET99" + data[8:],
    "program that begins outside": _number(0, 2**32 - 16),
    "program that begins in its own head": _number(0, 4),
    "program for another backend": _backend,
    "program with steps that are no number": lambda data: _step(float("nan"))(data),
    "program with steps without end": lambda data: _step(float("inf"))(data),
    "program with steps below nothing": lambda data: _step(-1.0)(data),
    "program with steps of nothing": lambda data: _step(0.0)(data),
    "program that describes another padding": _described('"padding":[1,', '"padding":[0,'),
    "program that describes enormous padding": _described('"padding":[1,1,1,1]', '"padding":[9999999]'),
    "program that describes another layer": _described('"kind":"Convolution"', '"kind":"Convolutior"'),
    "program that describes what cannot be read": _described('{"input', '["input'),
    "program that describes a step of a strange name": _described('"name":"_', '"name":"0'),
    "program of another method": lambda data: data.replace(b"network\0", b"netwoak\0"),
    "program that is an ONNX file": lambda _: sample.onnx_file("integer"),
}


def all_files() -> dict[str, bytes]:
    """Programs by name; none where ExecuTorch is missing, which the harmless one is made with."""
    return {name: alter(harmless()) for name, alter in ALTERED.items()} if INSTALLED else {}
