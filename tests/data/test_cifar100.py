"""CIFAR-100 in both of its packagings."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from obliq.data import load_dataset
from obliq.data.cifar100 import FINE_CLASSES
from obliq.errors import DataError

Parts = dict[str, tuple[np.ndarray, list[int], list[int]]]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OBLIQ_DATA", raising=False)


@pytest.fixture
def parts() -> Parts:
    random = np.random.default_rng(0)
    return {
        name: (
            random.integers(0, 256, (count, 3072), dtype=np.uint8),
            random.integers(0, 20, count).tolist(),
            random.integers(0, 100, count).tolist(),
        )
        for name, count in (("train", 5), ("test", 3))
    }


def as_binary(folder: Path, parts: Parts) -> None:
    for name, (rows, coarse, fine) in parts.items():
        written = [
            bytes([one, other]) + row.tobytes() for one, other, row in zip(coarse, fine, rows, strict=True)
        ]
        (folder / f"{name}.bin").write_bytes(b"".join(written))


def as_python(folder: Path, parts: Parts) -> None:
    for name, (rows, coarse, fine) in parts.items():
        content = {
            b"coarse_labels": coarse,
            b"fine_labels": fine,
            b"data": rows,
            b"filenames": [b"x.png"] * len(rows),
        }
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))


@pytest.mark.parametrize(
    ("write", "below"), [(as_binary, "cifar-100-binary"), (as_binary, ""), (as_python, "cifar-100-python")]
)
def test_both_packagings_give_the_same(
    write: Callable[[Path, Parts], None], below: str, parts: Parts, tmp_path: Path
) -> None:
    place = tmp_path / "given" / below
    place.mkdir(parents=True)
    write(place, parts)
    collection = load_dataset("cifar100", str(tmp_path / "given"))
    rows = np.concatenate([rows for rows, _, _ in parts.values()])
    assert np.array_equal(collection.inputs.numpy(), rows.reshape(-1, 3, 32, 32))
    assert collection.labels.tolist() == [label for _, _, fine in parts.values() for label in fine]
    assert collection.official_test is not None
    assert collection.official_test.tolist() == [False] * 5 + [True] * 3
    assert collection.class_names == FINE_CLASSES


def test_classes_are_in_the_order_of_their_names() -> None:
    assert len(FINE_CLASSES) == 100
    assert list(FINE_CLASSES) == sorted(FINE_CLASSES)


def test_wrong_content_is_refused(parts: Parts, tmp_path: Path) -> None:
    as_binary(tmp_path, parts)
    for content, message in (
        (b"", "0 bytes"),
        (b"\0" * 3073, "rows of 3074"),
        (b"\0\x64" + b"\0" * 3072, "class 100"),
    ):
        (tmp_path / "train.bin").write_bytes(content)
        with pytest.raises(DataError, match=rf"train\.bin has {message}|train\.bin has .*{message}"):
            load_dataset("cifar100", tmp_path)
    with pytest.raises(
        DataError, match=r"files of cifar100 are missing: looked for train\.bin and test\.bin"
    ):
        load_dataset("cifar100", tmp_path / "elsewhere")


def test_pickles_of_cifar10_are_not_taken(parts: Parts, tmp_path: Path) -> None:
    as_python(tmp_path, parts)
    content = {b"labels": [1], b"data": np.zeros((1, 3072), np.uint8)}
    (tmp_path / "train").write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(DataError, match="train: no list of classes 0 to 99"):
        load_dataset("cifar100", tmp_path)
