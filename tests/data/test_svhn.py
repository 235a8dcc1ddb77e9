"""SVHN from files in the form of its MATLAB files, and files that are none."""

import contextlib
import io
import math
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from obliq.data import load_dataset
from obliq.data.matlab_file import read_byte_arrays
from obliq.data.svhn import SVHN_FILES
from obliq.errors import DataError
from obliq.io.budget import Budget


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OBLIQ_DATA", raising=False)


def write(file: Path, images: np.ndarray, labels: list[int], *, compressed: bool = True) -> None:
    """As the original: pixels first, samples last, and the digit 0 as class 10."""
    column = np.array(labels, np.uint8).reshape(-1, 1)
    savemat(file, {"X": images.transpose(2, 3, 1, 0), "y": column}, do_compression=compressed)


@pytest.mark.parametrize("compressed", [True, False])
def test_images_and_digits(tmp_path: Path, compressed: bool) -> None:
    random = np.random.default_rng(0)
    train, test = (random.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8) for count in (4, 2))
    (tmp_path / "svhn").mkdir()
    write(tmp_path / "svhn" / SVHN_FILES[0], train, [1, 10, 9, 2], compressed=compressed)
    write(tmp_path / "svhn" / SVHN_FILES[1], test, [10, 3], compressed=compressed)
    collection = load_dataset("svhn", tmp_path)
    assert np.array_equal(collection.inputs.numpy(), np.concatenate([train, test]))
    assert collection.labels.tolist() == [1, 0, 9, 2, 0, 3]
    assert collection.official_test is not None
    assert collection.official_test.tolist() == [False] * 4 + [True] * 2


def test_wrong_content_is_one_error(tmp_path: Path) -> None:
    images = np.zeros((2, 3, 32, 32), np.uint8)
    first, second = (tmp_path / name for name in SVHN_FILES)
    write(second, images, [1, 2])
    with pytest.raises(DataError, match=r"files of svhn are missing: looked for train_32x32\.mat"):
        load_dataset("svhn", tmp_path)

    def refused(message: str) -> None:
        with pytest.raises(DataError, match=message):
            load_dataset("svhn", tmp_path)

    write(first, images, [1])
    refused("2 images and 1 labels; expected one label from 1 to 10")
    write(first, images, [0, 1])
    refused("2 images and 2 labels; expected one label from 1 to 10")
    savemat(first, {"X": np.zeros((2, 2), np.uint8), "y": np.ones((2, 1), np.uint8)})
    refused(r"X of shape \(2, 2\), y of shape \(2, 1\); expected X of shape \(32, 32, 3, images\) and y")
    savemat(first, {"X": images.transpose(2, 3, 1, 0).astype(float), "text": "none"})
    refused("holds bytes in no variable")


def read(content: bytes) -> dict[str, np.ndarray]:
    return read_byte_arrays("a.mat", content, Budget(len(content), DataError))


def saved(variables: dict[str, Any], *, compressed: bool = True) -> bytes:
    file = io.BytesIO()
    savemat(file, variables, do_compression=compressed)
    return file.getvalue()


@settings(max_examples=30)
@given(
    shape=st.lists(st.integers(0, 4), min_size=2, max_size=4),
    name=st.from_regex(r"[a-z]{1,9}", fullmatch=True),
    compressed=st.booleans(),
)
def test_what_scipy_writes_is_read(shape: list[int], name: str, compressed: bool) -> None:
    array = np.arange(math.prod(shape), dtype=np.uint8).reshape(shape)
    other = {"n": np.ones((2, 3)), "s": "text", "c": {"a": 1}}
    found = read(saved({**other, name: array}, compressed=compressed))
    assert list(found) == [name]
    assert np.array_equal(found[name], array)


WHOLE = [
    saved({"X": np.arange(24, dtype=np.uint8).reshape(2, 3, 4)}, compressed=packed)
    for packed in (True, False)
]


@given(data=st.data(), whole=st.sampled_from(WHOLE))
def test_damage_is_an_error_or_changes_nothing_else(data: st.DataObject, whole: bytes) -> None:
    altered = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for place in data.draw(st.lists(st.integers(0, max(0, len(altered) - 1)), max_size=4)):
        altered[place : place + 1] = bytes([data.draw(st.integers(0, 255))])
    with contextlib.suppress(DataError):
        assert sum(array.size for array in read(bytes(altered)).values()) <= 24


def test_parts_of_a_matrix_are_counted_before_they_are_kept() -> None:
    many = struct.pack("<II", 14, 8 * 10**6) + bytes(8 * 10**6)  # a matrix of a million empty elements
    packed = zlib.compress(many)
    tracemalloc.start()
    with pytest.raises(DataError, match="a matrix without flags"):
        read(WHOLE[0][:128] + struct.pack("<II", 15, len(packed)) + packed)
    assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
    tracemalloc.stop()


def test_a_small_file_cannot_claim_much() -> None:
    """Zeros shrink to a thousandth; the pixels of photographs hardly do."""
    content = saved({"X": np.zeros((32, 32, 3, 17_000), np.uint8)})
    with pytest.raises(DataError, match=r"X would take .* MiB of memory; expected at most"):
        read(content)
