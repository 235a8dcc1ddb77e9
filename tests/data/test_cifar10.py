"""CIFAR-10 in its three packagings, and pickles that ask for more than arrays."""

import io
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from obliq.data import load_dataset
from obliq.data.cifar10 import PARTS
from obliq.errors import DataError
from obliq.io.budget import Budget
from obliq.io.isolated.pickled_arrays import pickled_arrays

Parts = dict[str, tuple[np.ndarray, list[int]]]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OBLIQ_DATA", raising=False)


@pytest.fixture
def parts() -> Parts:
    random = np.random.default_rng(0)
    return {
        name: (random.integers(0, 256, (4, 3, 32, 32), dtype=np.uint8), random.integers(0, 10, 4).tolist())
        for name in PARTS
    }


def as_binary(folder: Path, parts: Parts) -> None:
    for name, (images, labels) in parts.items():
        rows = [bytes([label]) + image.tobytes() for image, label in zip(images, labels, strict=True)]
        (folder / f"{name}.bin").write_bytes(b"".join(rows))


def as_python(folder: Path, parts: Parts) -> None:
    for name, (images, labels) in parts.items():
        content = {b"batch_label": name.encode(), b"labels": labels, b"data": images.reshape(-1, 3072)}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))


def as_modern_python(folder: Path, parts: Parts) -> None:
    for name, (images, labels) in parts.items():
        content = {"labels": labels, "data": images.reshape(-1, 3072)}
        (folder / name).write_bytes(pickle.dumps(content, protocol=4))


def as_python_2(folder: Path, parts: Parts) -> None:
    for name, (images, labels) in parts.items():
        (folder / name).write_bytes(python_2_pickle(images.reshape(-1, 3072), labels))


def python_2_pickle(data: np.ndarray, labels: list[int]) -> bytes:
    """The opcodes that Python 2's cPickle wrote for the original files: text as byte strings."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    kind = b"cnumpy\ndtype\n(" + text(b"u1") + number(0) + number(1) + b"tR"
    kind += b"(" + number(3) + text(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
    raw = b"T" + struct.pack("<i", data.size) + data.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(" + number(0) + b"t" + text(b"b") + b"tR"
    )
    array += b"(" + number(1) + b"(" + number(len(data)) + number(3072) + b"t" + kind + b"\x89" + raw + b"tb"
    listed = b"](" + b"".join(map(number, labels)) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + listed + b"u."


def as_png(folder: Path, parts: Parts) -> None:
    train: list[int] = []
    for name, (images, labels) in parts.items():
        rows = images.transpose(0, 2, 3, 1).reshape(len(images), 1024, 3)
        Image.fromarray(np.ascontiguousarray(rows)).save(folder / f"{name}.png")
        if name != "test_batch":
            train += labels
    (folder / "train_lables.json").write_text(json.dumps(train), encoding="utf-8")
    (folder / "test_lables.json").write_text(json.dumps(parts["test_batch"][1]), encoding="utf-8")


PACKAGINGS = [
    (as_binary, "cifar-10-batches-bin"),
    (as_binary, ""),
    (as_python, "cifar-10-batches-py"),
    (as_modern_python, "cifar-10-batches-py"),
    (as_python_2, "cifar-10-batches-py"),
    (as_png, ""),
    (as_png, "package"),
]


@pytest.mark.parametrize(("write", "below"), PACKAGINGS)
def test_every_packaging_gives_the_same(
    write: Callable[[Path, Parts], None], below: str, parts: Parts, tmp_path: Path
) -> None:
    place = tmp_path / "given" / below
    place.mkdir(parents=True, exist_ok=True)
    write(place, parts)
    collection = load_dataset("cifar10", tmp_path / "given")
    assert collection.name == "cifar10"
    assert collection.inputs.dtype == torch.uint8
    assert np.array_equal(collection.inputs.numpy(), np.concatenate([images for images, _ in parts.values()]))
    assert collection.labels.tolist() == [label for _, labels in parts.values() for label in labels]
    assert collection.official_test.tolist() == [False] * 20 + [True] * 4
    assert collection.class_names[3] == "cat"


class Canary:
    """Unpickled in the ordinary way, it creates a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.file,)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_hostile_pickle_is_refused_and_not_run(parts: Parts, tmp_path: Path, protocol: int) -> None:
    place = tmp_path / "cifar-10-batches-py"
    place.mkdir()
    as_python(place, parts)
    canary = tmp_path / "sang"
    hostile = pickle.dumps({b"data": Canary(canary), b"labels": [1]}, protocol=protocol)
    (place / "data_batch_3").write_bytes(hostile)
    with pytest.raises(DataError, match=r"data_batch_3: it names .*, which is never run"):
        load_dataset("cifar10", tmp_path)
    assert not canary.exists()
    pickle.loads(hostile)
    assert canary.exists(), "the pickle would have run"


def pickled(*code: bytes) -> bytes:
    return b"\x80\x02" + b"".join(code) + b"."


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "damaged"),
        (b"not a pickle", "damaged"),
        (pickle.dumps({b"data": 1})[:-3], "damaged"),
        (pickled(b"cos\nsystem\n(U\x04truetR"), "names os.system"),
        (pickled(b"cnumpy\nload\n"), "names numpy.load"),
        (pickled(b"cbuiltins\neval\n"), "names builtins.eval"),
        (pickled(b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00zlitR"), "unexpected codec"),
        (pickled(b"U\x01xQ"), "refers to other files"),
        (pickle.dumps(np.array([1.5])), "not of bytes"),
        (pickle.dumps(np.array([{}], dtype=object)), "not of bytes"),
        (pickle.dumps(np.asfortranarray(np.zeros((2, 3), np.uint8)), protocol=4), "by column"),
    ],
)
def test_strange_pickles_are_refused(content: bytes, said: str) -> None:
    with pytest.raises(DataError, match=f"^batch.*{said}"):
        pickled_arrays("batch", content, Budget(len(content), DataError))


def test_a_forged_shape_is_refused() -> None:
    whole = python_2_pickle(np.zeros((2, 3072), np.uint8), [0, 1])
    forged = whole.replace(b"(J\x02\x00\x00\x00J\x00\x0c", b"(J\xff\xff\xff\x7fJ\x00\x0c")
    with pytest.raises(DataError, match="expected one each"):
        pickled_arrays("batch", forged, Budget(len(forged), DataError))


def test_pickles_are_limited_in_size(parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_python(tmp_path, parts)
    monkeypatch.setattr("obliq.data.cifar10._LARGEST_FILE", 10)
    with pytest.raises(DataError, match="expected at most 10"):
        load_dataset("cifar10", tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1, 2], "holds a list"),
        ({b"labels": [1]}, "no rows of 3072 bytes"),
        ({b"data": np.zeros((1, 5), np.uint8), b"labels": [1]}, "no rows of 3072 bytes"),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [11]}, "no list of classes"),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": ["cat"]}, "no list of classes"),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]}, "and 1 labels"),
    ],
)
def test_wrong_python_content(content: object, said: str, parts: Parts, tmp_path: Path) -> None:
    as_python(tmp_path, parts)
    (tmp_path / "data_batch_2").write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(DataError, match=said):
        load_dataset("cifar10", tmp_path)


def test_wrong_binary_content(parts: Parts, tmp_path: Path) -> None:
    as_binary(tmp_path, parts)
    file = tmp_path / "data_batch_1.bin"
    for content in (b"", b"x" * 3000, file.read_bytes()[:-1]):
        file.write_bytes(content)
        with pytest.raises(DataError, match="expected some rows of 3073"):
            load_dataset("cifar10", tmp_path)
    file.write_bytes(b"\x0b" * 3073)
    with pytest.raises(DataError, match="labels run from"):
        load_dataset("cifar10", tmp_path)


def test_wrong_png_content(parts: Parts, tmp_path: Path) -> None:
    as_png(tmp_path, parts)
    labels = tmp_path / "train_lables.json"
    for content, said in (
        ("[1, 2]", r"2 \+ 4 labels for 20 \+ 4 images"),
        ('{"a": 1}', "no list of classes"),
        ("[1, 2", "cannot read the labels"),
        ("[" * 100_000, "cannot read the labels"),
        (" " * (2**20 + 1), "expected at most 1,048,576"),
    ):
        labels.write_text(content, encoding="utf-8")
        with pytest.raises(DataError, match=said):
            load_dataset("cifar10", tmp_path)
    picture = tmp_path / "data_batch_1.png"
    whole = picture.read_bytes()
    grey = io.BytesIO()
    Image.new("L", (1024, 4)).save(grey, "PNG")
    for content, said in (
        (b"no picture", "cannot read .* as a PNG"),
        (whole[: len(whole) // 2], "cannot read .* as a PNG"),
        (grey.getvalue(), "in mode L; expected RGB"),
    ):
        picture.write_bytes(content)
        with pytest.raises(DataError, match=said):
            load_dataset("cifar10", tmp_path)
