"""Hostile network folders: one alteration each of a harmless one's safetensors or JSON."""

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

TENSORS, DOCUMENT = "model.safetensors", "model.json"
CODES, SCALE, NORM = "codes/features.4.weight", "scale/features.4.weight", "float/features.1.running_var"

Header = dict[str, Any]


def header(change: Callable[[Header], object]) -> Callable[[Path], None]:
    """Another description of the same bytes."""

    def alter(folder: Path) -> None:
        content = (folder / TENSORS).read_bytes()
        length = int.from_bytes(content[:8], "little")
        values = json.loads(content[8 : 8 + length])
        change(values)
        text = json.dumps(values).encode()
        (folder / TENSORS).write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])

    return alter


def tensors(change: Callable[[dict[str, np.ndarray]], object]) -> Callable[[Path], None]:
    """Other tensors, written by the library."""

    def alter(folder: Path) -> None:
        values = safetensors.numpy.load((folder / TENSORS).read_bytes())
        change(values)
        (folder / TENSORS).write_bytes(safetensors.numpy.save(values))

    return alter


def put(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def alter(values: dict[str, np.ndarray]) -> None:
        values[name] = np.ascontiguousarray(change(values[name].copy()))

    return tensors(alter)


def first(number: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        values.reshape(-1)[0] = number
        return values

    return change


def entry(name: str, **values: object) -> Callable[[Path], None]:
    return header(lambda found: found[name].update(values))


def document(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Other values in model.json."""

    def alter(folder: Path) -> None:
        values = json.loads((folder / DOCUMENT).read_text())
        change(values)
        (folder / DOCUMENT).write_text(json.dumps(values))

    return alter


def blueprint(**values: object) -> Callable[[Path], None]:
    return document(lambda found: found["blueprint"].update(values))


def grid(**values: object) -> Callable[[Path], None]:
    return document(lambda found: found["quantization"]["features.4.weight"].update(values))


def content(file: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Other bytes."""
    return lambda folder: (folder / file).write_bytes(change((folder / file).read_bytes())) and None


def text(before: str, after: str) -> Callable[[Path], None]:
    return content(DOCUMENT, lambda data: data.replace(before.encode(), after.encode(), 1))


def linked(folder: Path) -> None:
    (folder / TENSORS).unlink()
    (folder / TENSORS).symlink_to("/etc/passwd")


def piped(folder: Path) -> None:
    (folder / TENSORS).unlink()
    os.mkfifo(folder / TENSORS)


def enormous(folder: Path) -> None:
    with (folder / TENSORS).open("r+b") as opened:
        opened.truncate(2**40)  # sparse: it takes no room on the disk


ALTERED: dict[str, Callable[[Path], None]] = {
    "header beyond the file": content(TENSORS, lambda data: struct.pack("<Q", 2**32) + data[8:]),
    "header beyond counting": content(TENSORS, lambda data: struct.pack("<Q", 2**64 - 1) + data[8:]),
    "header that is no text": content(TENSORS, lambda data: data[:9] + b"\xff\xfe" + data[11:]),
    "header nested to the bottom": content(TENSORS, lambda _: struct.pack("<Q", 200_000) + b"[" * 200_000),
    "tensor described twice": content(TENSORS, lambda _: struct.pack("<Q", 15) + b'{"a":{},"a":{}}'),
    "pickle in place of tensors": content(TENSORS, lambda _: pickle.dumps({"weights": [1, 2, 3]})),
    "archive behind the tensors": content(TENSORS, lambda data: data + b"PK\x05\x06" + bytes(18)),
    "tensors cut in the middle": content(TENSORS, lambda data: data[: len(data) // 2]),
    "tensors of nothing": content(TENSORS, lambda _: b""),
    "link to another file": linked,
    "pipe that never ends": piped,
    "terabyte": enormous,
    "metadata beside tensors": header(lambda found: found.update(__metadata__={"a": "b"})),
    "offsets that overlap": entry(SCALE, data_offsets=[0, 128]),
    "offsets beyond the file": entry(SCALE, data_offsets=[2**40, 2**40 + 128]),
    "offsets the wrong way round": entry(SCALE, data_offsets=[128, 0]),
    "unknown element type": entry(SCALE, dtype="F8_E4M3"),
    "element type that is a path": entry(SCALE, dtype="../../etc/passwd"),
    "negative shape": entry(SCALE, shape=[-32]),
    "shape that overflows": entry(SCALE, shape=[2**47, 2**47]),
    "shape of fractions": entry(SCALE, shape=[32.0]),
    "nine axes": entry(SCALE, shape=[1] * 8 + [32]),
    "codes one byte short": put(CODES, lambda values: values[:-1]),
    "too few scales": put(SCALE, lambda values: values[:-1]),
    "one scale for all": put(SCALE, lambda values: values[:1].reshape(())),
    "scales of double precision": put(SCALE, lambda values: values.astype(np.float64)),
    "scale of nothing": put(SCALE, first(0)),
    "negative scale": put(SCALE, first(-0.5)),
    "denormal scale": put(SCALE, first(1e-41)),
    "infinite scale": put(SCALE, first(np.inf)),
    "scale that is no number": put(SCALE, first(np.nan)),
    "code beyond the range": put(CODES, first(0b00100100)),
    "variance that is no number": put(NORM, first(np.nan)),
    "tensor left out": tensors(lambda values: values.pop(SCALE)),
    "tensor named like a path": tensors(lambda values: values.update({"../../up": values[SCALE]})),
    "weights of another network": put(CODES, lambda values: values[::-1]),
    "code to import": blueprint(architecture="os:system"),
    "architecture that is a path": blueprint(architecture="../../etc/passwd"),
    "input beyond any memory": blueprint(input_shape=[1, 2**40, 2**40]),
    "classes beyond any memory": blueprint(classes=10**7),
    "number beyond counting": blueprint(classes=10**30),
    "number as text": blueprint(classes="3"),
    "ninety-nine bits": blueprint(edge_bits=99),
    "precision of one bit": blueprint(precision="W1A1"),
    "grid of another width": grid(bits=8),
    "zero point": grid(zero_point=3),
    "axis beyond the rank": grid(channel_axis=9),
    "shape of other codes": grid(shape=[16, 32, 3, 3]),
    "digest of other content": document(lambda found: found.update(weights_digest="0" * 64)),
    "newer version": document(lambda found: found.update(version=99)),
    "other format": document(lambda found: found.update(format="zip")),
    "unknown field": document(lambda found: found.update(__class__="subprocess.Popen")),
    "data to import": document(lambda found: found["provenance"].update(data=["os:system"])),
    "name twice": text('"classes": 3', '"classes": 3, "classes": 3'),
    "no number": text('"classes": 3', '"classes": NaN'),
    "half a character": text('"digits"', '"\\ud800"'),
    "nested to the bottom": content(DOCUMENT, lambda _: b"[" * 200_000),
    "document beyond the limit": content(DOCUMENT, lambda data: b" " * 2**23 + data),
    "program in place of a document": content(DOCUMENT, lambda _: b"import os"),
    "two documents": content(DOCUMENT, lambda data: data + b"{}"),
}
"""By name: what is done to the files of a saved network."""
