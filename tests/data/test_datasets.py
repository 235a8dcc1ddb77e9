"""Built-in data: the digits' closed statistics, IDX files, what is said when files are missing."""

import gzip
import struct
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pytest
import torch

from obliq.data import DATASETS, load_dataset, mnist
from obliq.data.mnist import FILES, WRITERS_FILE
from obliq.errors import DataError


def idx_bytes(array: np.ndarray) -> bytes:
    kind = {"uint8": 0x08, "int32": 0x0C}[str(array.dtype)]
    header = struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_images(
    folder: Path, compressed: bool = False, train: int = 12, test: int = 5
) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    arrays = {
        FILES[0]: random.integers(0, 256, (train, 4, 6), dtype=np.uint8),
        FILES[1]: random.integers(0, 10, train, dtype=np.uint8),
        FILES[2]: random.integers(0, 256, (test, 4, 6), dtype=np.uint8),
        FILES[3]: random.integers(0, 10, test, dtype=np.uint8),
    }
    for name, array in arrays.items():
        if compressed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx_bytes(array)))
        else:
            (folder / name).write_bytes(idx_bytes(array))
    return arrays


def write_writers(folder: Path, labels: np.ndarray, compressed: bool = True) -> np.ndarray:
    table = np.zeros((len(labels), 8), dtype=np.int32)
    table[:, 0] = labels
    table[:, 2] = 300 + np.arange(len(labels)) // 3
    content = idx_bytes(table)
    file = folder / (WRITERS_FILE + (".gz" if compressed else ""))
    file.write_bytes(gzip.compress(content) if compressed else content)
    return table


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the machine's own is found."""
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    monkeypatch.delenv("OBLIQ_DATA", raising=False)


def test_digits_are_the_known_ones() -> None:
    digits = load_dataset("digits")
    assert len(digits) == 1797
    assert digits.sample_shape == (1, 8, 8)
    assert digits.labels.bincount().tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    forms = [130, 126, 130, 130, 130, 130, 130, 123, 128, 130, 128, 130, 122, 130]
    assert digits.subjects.bincount().tolist() == forms
    assert digits.official_test is None
    assert digits.class_names == tuple("0123456789")
    standardised = digits.fetch(torch.arange(1797))
    assert abs(float(standardised.mean())) < 1e-3
    assert abs(float(standardised.std()) - 1) < 1e-3
    assert set((digits.inputs * 16).unique().tolist()) == set(range(17))


def test_forms_repeat_the_same_sequence_of_digits() -> None:
    digits = load_dataset("digits")
    forms = ["".join(map(str, digits.labels[digits.subjects == form].tolist())) for form in range(14)]
    for form in forms[1:]:
        assert SequenceMatcher(None, forms[0], form, autojunk=False).ratio() > 0.95


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("name", "below"),
    [
        ("mnist", ""),
        ("mnist", "raw"),
        ("mnist", "MNIST/raw"),
        ("fashion-mnist", ""),
        ("fashion-mnist", "FashionMNIST/raw"),
    ],
)
def test_idx_images(name: str, below: str, compressed: bool, tmp_path: Path) -> None:
    arrays = write_images(tmp_path / below, compressed)
    collection = load_dataset(name, tmp_path)
    assert collection.name == name
    assert collection.inputs.dtype == torch.uint8
    assert collection.sample_shape == (1, 4, 6)
    assert np.array_equal(collection.inputs[:12, 0].numpy(), arrays[FILES[0]])
    assert np.array_equal(collection.inputs[12:, 0].numpy(), arrays[FILES[2]])
    assert collection.labels.tolist() == [*arrays[FILES[1]].tolist(), *arrays[FILES[3]].tolist()]
    assert collection.official_test.tolist() == [False] * 12 + [True] * 5
    assert collection.subjects is None
    assert len(collection.class_names) == 10


def test_files_are_found_through_the_environment_and_beside_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(Path("data"))
    assert len(load_dataset("mnist")) == 17
    write_images(tmp_path / "set" / "MNIST" / "raw", train=20)
    monkeypatch.setenv("OBLIQ_DATA", str(tmp_path / "set"))
    assert len(load_dataset("mnist")) == 25
    write_images(tmp_path / "given", train=30)
    assert len(load_dataset("mnist", tmp_path / "given")) == 35


@pytest.mark.parametrize("compressed", [False, True])
def test_writers_become_the_subjects_of_training_images(tmp_path: Path, compressed: bool) -> None:
    labels = write_images(tmp_path)[FILES[1]]
    table = write_writers(tmp_path, labels, compressed)
    assert load_dataset("mnist", tmp_path).subjects.tolist() == [*table[:, 2].tolist(), -1, -1, -1, -1, -1]
    assert load_dataset("fashion-mnist", tmp_path).subjects is None


def test_writers_in_the_layout_of_torchvision(tmp_path: Path) -> None:
    labels = write_images(tmp_path / "MNIST" / "raw")[FILES[1]]
    (tmp_path / "QMNIST" / "raw").mkdir(parents=True)
    table = write_writers(tmp_path / "QMNIST" / "raw", labels)
    assert load_dataset("mnist", tmp_path).subjects[:12].tolist() == table[:, 2].tolist()


def test_writers_that_do_not_match_are_refused(tmp_path: Path) -> None:
    labels = write_images(tmp_path)[FILES[1]].copy()
    write_writers(tmp_path, labels[:-1])
    with pytest.raises(DataError, match="11 rows of 8 columns; expected 12"):
        load_dataset("mnist", tmp_path)
    labels[3] = (labels[3] + 1) % 10
    write_writers(tmp_path, labels)
    with pytest.raises(DataError, match="1 of 12 digits differ"):
        load_dataset("mnist", tmp_path)


@pytest.mark.parametrize("name", ["fashion-mnist", "mnist", "cifar10"])
def test_missing_files_are_explained_in_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("obliq.data.mnist.DEBIAN", tmp_path / "debian")
    with pytest.raises(DataError) as caught:
        load_dataset(name, tmp_path / "given")
    message = str(caught.value)
    for part in (
        name,
        str(tmp_path / "given"),
        "$OBLIQ_DATA (not set)",
        str(Path("data").resolve()),
        "get the",
    ):
        assert part in message
    assert "\n" not in message
    assert "http" not in message


def test_the_two_sets_with_equal_file_names_are_told_apart(tmp_path: Path) -> None:
    write_images(tmp_path, train=60_000)
    balanced = np.repeat(np.arange(10, dtype=np.uint8), 6000)
    (tmp_path / FILES[1]).write_bytes(idx_bytes(balanced))
    assert len(load_dataset("fashion-mnist", tmp_path)) == 60_005
    with pytest.raises(DataError, match=r"are fashion-mnist's.*expected mnist's"):
        load_dataset("mnist", tmp_path)


def test_images_and_labels_must_agree(tmp_path: Path) -> None:
    write_images(tmp_path)
    (tmp_path / FILES[1]).write_bytes(idx_bytes(np.zeros(11, np.uint8)))
    with pytest.raises(DataError, match="12 training images but 11 labels"):
        load_dataset("mnist", tmp_path)
    (tmp_path / FILES[2]).write_bytes(idx_bytes(np.zeros((5, 6, 4), np.uint8)))
    with pytest.raises(DataError, match="expected one size"):
        load_dataset("mnist", tmp_path)
    write_images(tmp_path)
    (tmp_path / FILES[3]).write_bytes(idx_bytes(np.full(5, 10, np.uint8)))
    with pytest.raises(DataError, match="labels run from 0 to 10; expected 0 to 9"):
        load_dataset("mnist", tmp_path)


def test_damaged_idx_files_are_refused(tmp_path: Path) -> None:
    whole = idx_bytes(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    huge = struct.pack(">HBB3I", 0, 8, 3, 2**31, 2**31, 2**31)
    for content, expected in (
        (b"", "not an IDX file"),
        (b"\x89PNG1234", "not an IDX file"),
        (whole[:2] + b"\x0d" + whole[3:], "not an IDX file"),
        (whole[:10], "cut off in its header"),
        (whole[:-1], "holds 23 bytes of numbers; expected 24"),
        (whole + b"x", "holds more bytes"),
        (huge, "claims to hold"),
        (idx_bytes(np.zeros((2, 3), np.uint8)), "has 2 dimensions; expected 3"),
    ):
        file = tmp_path / "images"
        file.write_bytes(content)
        with pytest.raises(DataError, match=expected):
            mnist.read_idx(file, 3)
    packed = gzip.compress(whole)
    for content in (packed[:-12], b"not gzip at all", packed[:12] + b"\xff\xff\xff" + packed[15:]):
        file = tmp_path / "images.gz"
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"cannot read|bytes of numbers|not an IDX"):
            mnist.read_idx(file, 3)
    with pytest.raises(DataError, match="cannot read"):
        mnist.read_idx(tmp_path / "none", 3)


def test_unknown_names_list_what_there_is() -> None:
    for name in ("imagenet", "", ":", "npz:", ":function"):
        with pytest.raises(DataError, match="there is no data set") as caught:
            load_dataset(name)
        assert all(
            known in str(caught.value) for known in (*DATASETS, "npz:FILE", "folder:DIR", "module:function")
        )


DEBIAN_FILES = Path("/usr/share/datasets/fashion-mnist")


@pytest.mark.skipif(
    not DEBIAN_FILES.is_dir(), reason="the Debian package dataset-fashion-mnist is not installed"
)
def test_fashion_mnist_is_the_known_one() -> None:
    clothes = load_dataset("fashion-mnist")
    assert clothes.labels.bincount().tolist() == [7000] * 10
    pixels = clothes.inputs[~clothes.official_test].float() / 255
    assert abs(float(pixels.mean()) - 0.2860) < 1e-4
    assert abs(float(pixels.std()) - 0.3530) < 1e-4


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_is_a_sound_collection_or_names_the_files_that_it_lacks(name: str) -> None:
    try:
        collection = load_dataset(name)
    except DataError:
        with pytest.raises(DataError, match=name):
            load_dataset(name)
        return
    assert collection.name == name
    assert collection.digest == load_dataset(name).digest
    assert set(collection.labels.tolist()) == set(range(collection.classes))
    assert len(collection.class_names) == collection.classes
    assert bool(torch.isfinite(collection.fetch(torch.arange(2))).all())
