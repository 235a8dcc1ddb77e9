"""Own data in .npz files."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from obliq.data import load_dataset
from tests.data.refusals import one_line


def save(file: Path, **arrays: np.ndarray) -> str:
    fields = {"x": np.arange(24, dtype=np.float32).reshape(4, 1, 6), "y": np.array([0, 1, 0, 1])} | arrays
    np.savez(file, **{key: array for key, array in fields.items() if array is not None})
    return f"npz:{file}"


def test_npz_of_floats_is_taken_as_it_is(tmp_path: Path) -> None:
    name = save(tmp_path / "own.npz", subject=np.array([7, 7, -1, 9], dtype=np.int16))
    own = load_dataset(name)
    assert own.name == name
    assert own.sample_shape == (1, 6)
    assert own.labels.tolist() == [0, 1, 0, 1]
    assert own.subjects.tolist() == [7, 7, -1, 9]
    assert torch.equal(own.fetch(torch.arange(4)).flatten(), torch.arange(24.0))
    assert load_dataset(own.name).digest == own.digest


def test_npz_of_bytes_is_scaled_by_fixed_numbers(tmp_path: Path) -> None:
    pixels = np.array([0, 255], dtype=np.uint8).repeat(12).reshape(2, 3, 2, 2)
    own = load_dataset(save(tmp_path / "own.npz", x=pixels, y=np.array([0, 1])))
    assert own.inputs.dtype == torch.uint8
    assert own.subjects is None
    assert torch.equal(own.fetch(torch.arange(2)).flatten(1).unique(dim=1), torch.tensor([[-1.0], [1.0]]))


@pytest.mark.parametrize("kind", [">f4", "<f8", "f2"])
def test_npz_of_other_floats_becomes_float32(kind: str, tmp_path: Path) -> None:
    own = load_dataset(save(tmp_path / "own.npz", x=np.arange(8).reshape(4, 2).astype(kind)))
    assert own.inputs.dtype == torch.float32
    assert own.inputs.flatten().tolist() == list(range(8))


def test_npz_in_column_order(tmp_path: Path) -> None:
    x = np.asfortranarray(np.arange(24, dtype=np.uint8).reshape(4, 6))
    assert np.array_equal(load_dataset(save(tmp_path / "own.npz", x=x)).inputs.numpy(), x)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": None}, "no array x (it holds y)"),
        ({"x": np.array([{}, [], 1, None], dtype=object)}, "x is an array of Python objects"),
        ({"y": np.array([0, 1, None, 1], dtype=object)}, "y is an array of Python objects"),
        ({"x": np.array(["a", "b", "c", "d"])}, "x has type <U1"),
        ({"x": np.zeros((4, 6), dtype=np.int64)}, "x has type int64; expected uint8 or float"),
        ({"x": np.zeros((4, 6), dtype=complex)}, "x has type complex128"),
        ({"x": np.zeros((4, 6), dtype=[("a", "f4")])}, "x has type [('a'"),
        ({"x": np.zeros(4, dtype=np.float32)}, "x has shape (4,); expected samples first"),
        ({"x": np.zeros((4, 0), dtype=np.float32)}, "x has shape (4, 0), which is empty"),
        ({"x": np.zeros((4, 28, 28, 3), dtype=np.uint8)}, "colours last"),
        ({"x": np.array([[0.0], [np.nan], [1.0], [np.inf]])}, "2 of 4 inputs hold NaN or infinity"),
        ({"x": np.array([[0.0], [1e300], [1.0], [2.0]])}, "1 of 4 inputs hold NaN or infinity"),
        ({"y": np.array([0.0, 1.0, 0.0, 1.0])}, "y has type float64; expected integers, or names as text"),
        ({"y": np.array([0, 1, 0])}, "y has shape (3,); expected (4,)"),
        ({"y": np.array([[0, 1, 0, 1]])}, "y has shape (1, 4)"),
        ({"y": np.array([0, 1, 0, -1])}, "labels run from -1"),
        ({"y": np.array([0, 1, 0, 100])}, "label 100 among 4 samples"),
        ({"y": np.full(4, 2**64 - 1, dtype=np.uint64)}, "labels run from -1"),
        ({"subject": np.array([1, 2])}, "subject has shape (2,)"),
        ({"subject": np.array([1, 2, 3, -7])}, "subject -7"),
        ({"subject": np.array([1.0, 2.0, 3.0, 4.0])}, "subject has type float64"),
        ({"id": np.array([3, 4, 4, 5])}, "3 different ids for 4 samples"),
        (
            {"id": np.array(["a" * 300] * 4)},
            "id has type <U300; expected numbers of at most 64 bits, or names",
        ),
    ],
)
def test_wrong_npz(arrays: dict[str, np.ndarray], said: str, tmp_path: Path) -> None:
    assert said in one_line(save(tmp_path / "own.npz", **arrays))


def test_damaged_npz(tmp_path: Path) -> None:
    file = tmp_path / "own.npz"
    name = save(file)
    whole = file.read_bytes()
    changed = bytearray(whole)
    changed[200] ^= 1  # in the numbers of x: the checksum of the archive is wrong
    for content in (b"", b"no archive", whole[:-30], whole[: len(whole) // 2], bytes(changed)):
        file.write_bytes(content)
        assert "cannot be read as .npz" in one_line(name)
    assert "cannot be read" in one_line(f"npz:{tmp_path / 'none.npz'}")
    assert "is a folder; expected a regular file" in one_line(f"npz:{tmp_path}")


def archive(file: Path, x: bytes) -> str:
    numbers = io.BytesIO()
    np.save(numbers, np.array([0, 1]))
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("x.npy", x)
        opened.writestr("y.npy", numbers.getvalue())
    return f"npz:{file}"


def test_a_forged_npz_is_refused_before_memory_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        described, {"descr": "<f4", "fortran_order": False, "shape": (2, 10**12)}
    )
    name = archive(tmp_path / "forged.npz", described.getvalue() + b"\0" * 8)
    assert "claims shape (2, 1000000000000) but holds 8 bytes" in one_line(name)
    name = archive(tmp_path / "text.npz", b"not an array")
    assert "cannot be read" in one_line(name)
    monkeypatch.setattr("obliq.data.npz_file.LARGEST", 1000)
    name = archive(tmp_path / "bomb.npz", b"\0" * 5000)
    assert "x unpacks to 5,000 bytes; expected at most 1,000" in one_line(name)
