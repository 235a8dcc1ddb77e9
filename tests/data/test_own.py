"""Own data: .npz files, folders of images, and functions in the user's own code."""

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from obliq.data import Collection, load
from obliq.errors import DataError


def one_line(name: str) -> str:
    with pytest.raises(DataError) as caught:
        load(name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)
    assert "expected" in str(caught.value)
    return str(caught.value)


# --- npz ---


def save(file: Path, **arrays: np.ndarray) -> str:
    fields = {"x": np.arange(24, dtype=np.float32).reshape(4, 1, 6), "y": np.array([0, 1, 0, 1])} | arrays
    np.savez(file, **{key: array for key, array in fields.items() if array is not None})
    return f"npz:{file}"


def test_npz_of_floats_is_taken_as_it_is(tmp_path: Path) -> None:
    name = save(tmp_path / "own.npz", subject=np.array([7, 7, -1, 9], dtype=np.int16))
    own = load(name)
    assert own.name == name
    assert own.sample_shape == (1, 6)
    assert own.labels.tolist() == [0, 1, 0, 1]
    assert own.subjects.tolist() == [7, 7, -1, 9]
    assert torch.equal(own.fetch(torch.arange(4)).flatten(), torch.arange(24.0))
    assert load(own.name).digest == own.digest


def test_npz_of_bytes_is_scaled_by_fixed_numbers(tmp_path: Path) -> None:
    pixels = np.array([0, 255], dtype=np.uint8).repeat(12).reshape(2, 3, 2, 2)
    own = load(save(tmp_path / "own.npz", x=pixels, y=np.array([0, 1])))
    assert own.inputs.dtype == torch.uint8
    assert own.subjects is None
    assert torch.equal(own.fetch(torch.arange(2)).flatten(1).unique(dim=1), torch.tensor([[-1.0], [1.0]]))


@pytest.mark.parametrize("kind", [">f4", "<f8", "f2"])
def test_npz_of_other_floats_becomes_float32(kind: str, tmp_path: Path) -> None:
    own = load(save(tmp_path / "own.npz", x=np.arange(8).reshape(4, 2).astype(kind)))
    assert own.inputs.dtype == torch.float32
    assert own.inputs.flatten().tolist() == list(range(8))


def test_npz_in_column_order(tmp_path: Path) -> None:
    x = np.asfortranarray(np.arange(24, dtype=np.uint8).reshape(4, 6))
    assert np.array_equal(load(save(tmp_path / "own.npz", x=x)).inputs.numpy(), x)


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
        ({"y": np.array([0.0, 1.0, 0.0, 1.0])}, "y has type float64; expected integers"),
        ({"y": np.array([0, 1, 0])}, "y has shape (3,); expected (4,)"),
        ({"y": np.array([[0, 1, 0, 1]])}, "y has shape (1, 4)"),
        ({"y": np.array([0, 1, 0, -1])}, "labels run from -1"),
        ({"y": np.array([0, 1, 0, 100])}, "label 100 among 4 samples"),
        ({"y": np.full(4, 2**64 - 1, dtype=np.uint64)}, "labels run from -1"),
        ({"subject": np.array([1, 2])}, "subject has shape (2,)"),
        ({"subject": np.array([1, 2, 3, -7])}, "subject -7"),
        ({"subject": np.array(["a", "b", "c", "d"])}, "subject has type <U1"),
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
    assert "cannot be read" in one_line(f"npz:{tmp_path}")


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
    assert "x unpacks to 5000 bytes; expected at most 1000" in one_line(name)


# --- folder ---


def picture(file: Path, mode: str = "RGB", size: tuple[int, int] = (5, 4), seed: int = 0) -> np.ndarray:
    file.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    image = Image.fromarray(pixels) if mode in ("RGB", "L") else Image.new(mode, size)
    image.save(file)
    return pixels


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_folder_reads_in_alphabetical_order(mode: str, tmp_path: Path) -> None:
    second = picture(tmp_path / "dogs" / "b.png", mode, seed=1)
    first = picture(tmp_path / "cats" / "a.PNG", mode, seed=2)
    third = picture(tmp_path / "dogs" / "c.png", mode, seed=3)
    (tmp_path / "dogs" / "notes.txt").write_text("not an image", encoding="utf-8")
    (tmp_path / "dogs" / ".hidden.png").write_text("not an image", encoding="utf-8")
    (tmp_path / ".cache").mkdir()
    own = load(f"folder:{tmp_path}")
    assert own.name == f"folder:{tmp_path}"
    assert own.class_names == ("cats", "dogs")
    assert own.labels.tolist() == [0, 1, 1]
    assert own.sample_shape == (3 if mode == "RGB" else 1, 4, 5)
    for image, expected in zip(own.inputs, (first, second, third), strict=True):
        assert np.array_equal(image.permute(1, 2, 0).squeeze(-1).numpy(), expected)
    assert own.mean == (0.5,) * own.sample_shape[0]


def test_folder_reads_jpeg(tmp_path: Path) -> None:
    for file in ("a/1.jpg", "b/1.jpeg"):
        picture(tmp_path / file)
    assert load(f"folder:{tmp_path}").sample_shape == (3, 4, 5)


def test_wrong_folders(tmp_path: Path) -> None:
    name = f"folder:{tmp_path / 'own'}"
    assert "is not a folder" in one_line(name)
    picture(tmp_path / "own" / "a" / "1.png")
    assert "1 folders in" in one_line(name)
    (tmp_path / "own" / "b").mkdir()
    assert f"no image in {tmp_path / 'own' / 'b'}" in one_line(name)
    odd = tmp_path / "own" / "b" / "2.png"
    for mode, size, said in (
        ("RGB", (6, 4), f"{odd} is 6x4 RGB but {tmp_path / 'own' / 'a' / '1.png'} is 5x4 RGB"),
        ("L", (5, 4), f"{odd} is 5x4 grey but"),
        ("RGBA", (5, 4), f"{odd} has mode RGBA; expected grey (L) or RGB"),
        ("P", (5, 4), f"{odd} has mode P"),
    ):
        picture(odd, mode, size)
        assert said in one_line(name)
    picture(odd, size=(200, 200))
    whole = odd.read_bytes()
    for content in (b"no picture", whole[:2000]):
        odd.write_bytes(content)
        assert f"cannot read {odd} as an image" in one_line(name)


def test_too_large_images_are_refused_by_their_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "a" / "1.png")
    picture(tmp_path / "b" / "1.png")
    monkeypatch.setattr("obliq.data.image_folder.LARGEST", 100)
    assert "120 bytes of pixels; expected at most 100" in one_line(f"folder:{tmp_path}")
    monkeypatch.setattr("obliq.data.image_folder._LARGEST_IMAGE", 10)
    assert "has 5x4 pixels; expected smaller images" in one_line(f"folder:{tmp_path}")


# --- module:function ---


class Listed:
    def __init__(self, items: list[tuple[object, object]], **known: object) -> None:
        self.items = items
        for key, value in known.items():
            setattr(self, key, value)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[object, object]:
        return self.items[index]


def items(kind: torch.dtype = torch.float32) -> list[tuple[object, object]]:
    return [(torch.full((2, 3), index, dtype=kind), index % 2) for index in range(6)]


def provide(monkeypatch: pytest.MonkeyPatch, result: object) -> str:
    def function() -> object:
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(sys.modules[__name__], "provided", function, raising=False)
    return f"{__name__}:provided"


def test_function_is_read_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    name = provide(monkeypatch, Listed(items(), subjects=[4, 4, 5, 5, -1, 6], class_names=["left", "right"]))
    own = load(name)
    assert own.name == name
    assert isinstance(own.inputs, torch.Tensor)
    assert own.labels.tolist() == [0, 1] * 3
    assert own.subjects.tolist() == [4, 4, 5, 5, -1, 6]
    assert own.class_names == ("left", "right")
    assert own.mean == ()


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32, torch.float64, torch.bfloat16])
def test_large_sets_stay_lazy_and_give_the_same(kind: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    name = provide(monkeypatch, Listed(items(kind)))
    kept = load(name)
    monkeypatch.setattr("obliq.data.imported.IN_MEMORY", 10)
    lazy = load(name)
    assert not isinstance(lazy.inputs, torch.Tensor)
    assert lazy.digest == kept.digest
    torch.testing.assert_close(lazy.fetch(torch.arange(6)), kept.fetch(torch.arange(6)))


def test_labels_may_be_any_integer_type(monkeypatch: pytest.MonkeyPatch) -> None:
    some = [(torch.zeros(1), 1), (torch.zeros(1), np.int64(0)), (torch.zeros(1), torch.tensor(1))]
    assert load(provide(monkeypatch, Listed(some))).labels.tolist() == [1, 0, 1]


@pytest.mark.parametrize("in_memory", [2**30, 0])
@pytest.mark.parametrize(
    ("result", "said"),
    [
        (RuntimeError("no such disk\nat all"), "RuntimeError: no such disk; expected"),
        (None, "expected a map-style data set with a length"),
        (Listed([]), "no samples"),
        (Listed([*items(), (torch.zeros(2, 3), 0.5)]), "item 6: TypeError"),
        (Listed([*items(), (torch.zeros(2, 3), "cat")]), "item 6: TypeError"),
        (Listed([*items(), torch.zeros(2)[0]]), "item 6: TypeError"),
        (Listed([*items(), (np.zeros((2, 3)), 0)]), "item 6 has ndarray as input"),
        (Listed([*items(), (torch.zeros(2, 3, dtype=torch.int64), 0)]), "item 6 has torch.int64 as input"),
        (Listed([*items(), (torch.zeros(2, 4), 0)]), "item 6 is torch.float32 of shape (2, 4), the first is"),
        (Listed([*items(), (torch.full((2, 3), torch.nan), 0)]), "item 6 holds NaN or infinity"),
        (Listed([(torch.tensor(1.0), 0)]), "is a single number"),
        (Listed([*items(), (torch.zeros(2, 3), -1)]), "labels run from -1"),
        (Listed([*items(), (torch.zeros(2, 3), 2**70)]), "has label"),
        (Listed(items(), subjects=[1, 2]), "2 subjects for 6 samples"),
        (Listed(items(), subjects=["Ann"] * 6), "expected a map-style"),
        (Listed(items(), subjects=[0.5] * 6), "subjects of type torch.float32"),
        (Listed(items(), class_names=["one"]), "labels run from 0 to 1; expected 0 to 0"),
    ],
)
def test_wrong_functions(result: object, said: str, in_memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("obliq.data.imported.IN_MEMORY", in_memory)
    assert said in one_line(provide(monkeypatch, result))


def test_a_module_beside_the_user_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "obliq_test_own_watch.py").write_text(
        "import torch\ndef train():\n    return [(torch.zeros(3), i % 2) for i in range(4)]\n"
        "def other():\n    return torch.zeros(3)[7]\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    try:
        own = load("obliq_test_own_watch:train")
        assert isinstance(own, Collection)
        assert len(own) == 4
        assert "IndexError" in one_line("obliq_test_own_watch:other")
        assert "AttributeError" in one_line("obliq_test_own_watch:none")
    finally:
        sys.modules.pop("obliq_test_own_watch", None)
    assert sys.path == path
    assert "ModuleNotFoundError: No module named 'obliq_test_nowhere'" in one_line("obliq_test_nowhere:train")
