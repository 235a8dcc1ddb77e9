"""Own data in folders of images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from obliq.data import load_dataset
from tests.data.refusals import one_line


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
    own = load_dataset(f"folder:{tmp_path}")
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
    assert load_dataset(f"folder:{tmp_path}").sample_shape == (3, 4, 5)


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
