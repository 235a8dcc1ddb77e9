"""Own data in folders of images."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from obliq.data import Examples, load_dataset, parse_selector
from obliq.data.selection import select_from
from obliq.errors import DataError
from tests.data.refusals import one_line


def picture(file: Path, mode: str = "RGB", size: tuple[int, int] = (5, 4), seed: int = 0) -> np.ndarray:
    file.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    image = Image.fromarray(pixels) if mode in ("RGB", "L") else Image.new(mode, size)
    image.save(file)
    return pixels


def with_head(content: bytes, side: int, bits: int, colours: int) -> bytes:
    """A PNG file of another size and form; its pixels stay as they were."""
    head = b"IHDR" + struct.pack(">IIBBBBB", side, side, bits, colours, 0, 0, 0)
    return content[:12] + head + struct.pack(">I", zlib.crc32(head)) + content[33:]


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
    for content, said in (
        (b"no picture", "(it is neither PNG nor JPEG); expected PNG or JPEG"),
        (whole[:2000], "truncated); expected a whole, undamaged PNG file"),
        (whole[:12], "(its head is damaged); expected a whole, undamaged PNG file"),
    ):
        odd.write_bytes(content)
        refused = one_line(name)
        assert f"cannot read {odd} as an image (" in refused
        assert refused.endswith(said)
    odd.write_bytes(with_head(whole, 30_000, 8, 2))
    assert one_line(name).endswith("it has more than 89,478,485 pixels; expected at most 16,777,216")
    for grey_or_rgb in (0, 2):
        odd.write_bytes(with_head(whole, 200, 16, grey_or_rgb))
        assert f"{odd} has 16 bits per channel; expected 8, grey or RGB" in one_line(name)


def test_too_large_images_are_refused_by_their_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "a" / "1.png")
    picture(tmp_path / "b" / "1.png")
    monkeypatch.setattr("obliq.data.image_folder.LARGEST", 100)
    assert "120 bytes of pixels; expected at most 100" in one_line(f"folder:{tmp_path}")
    monkeypatch.setattr("obliq.data.image_folder._LARGEST_IMAGE", 10)
    assert "has 5x4 pixels; expected at most 10" in one_line(f"folder:{tmp_path}")


def test_folders_called_by_numbers_are_in_the_order_of_numbers(tmp_path: Path) -> None:
    for number in range(12):
        picture(tmp_path / str(number) / "1.png", seed=number)
    own = load_dataset(f"folder:{tmp_path}")
    assert own.class_names == tuple(map(str, range(12)))
    assert own.sample_names[2] == "2/1.png"
    train = Examples(own, torch.arange(12))
    for word in ("2", "02"):
        assert select_from(parse_selector(f"class={word}"), train, seed=0).tolist() == [2]
    listed = tmp_path / "ids.txt"
    listed.write_text("11/1.png\n3  # a number is a position\n", encoding="utf-8")
    assert select_from(parse_selector(f"ids={listed}"), train, seed=0).tolist() == [3, 11]


def test_a_number_that_is_a_name_and_a_position_is_refused(tmp_path: Path) -> None:
    for name in ("0", "1", "10", "2", "other"):
        picture(tmp_path / name / "1.png")
    own = Examples(load_dataset(f"folder:{tmp_path}"), torch.arange(5))
    assert select_from(parse_selector("class=other"), own, seed=0).tolist() == [4]
    with pytest.raises(
        DataError, match="class=2: '2' is the name of number 3 here, and number 2 has another name"
    ):
        select_from(parse_selector("class=2"), own, seed=0)
    with pytest.raises(DataError, match="there is no class cat; expected 0, 1, 10, 2, other"):
        select_from(parse_selector("class=cat"), own, seed=0)


@pytest.mark.parametrize("size", [(6, 6), (8, 6)])
def test_pictures_are_turned_as_they_were_held(size: tuple[int, int], tmp_path: Path) -> None:
    pixels = picture(tmp_path / "a" / "1.png", size=size)
    (tmp_path / "b").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    Image.fromarray(np.rot90(pixels)).save(tmp_path / "b" / "1.png", exif=exif)
    own = load_dataset(f"folder:{tmp_path}")
    assert torch.equal(own.inputs[0], own.inputs[1])


def test_pictures_of_several_sizes_are_scaled_on_demand(tmp_path: Path) -> None:
    name = f"folder:{tmp_path}"
    picture(tmp_path / "a" / "1.png", size=(30, 20))
    picture(tmp_path / "b" / "1.png", size=(8, 8))
    assert f"expected all alike, or {name},image-size=64 to scale all of them" in one_line(name)
    assert load_dataset(f"{name},image-size=16").sample_shape == (3, 16, 16)
    assert load_dataset(f"{name},image-size=16x12").sample_shape == (3, 12, 16)
    for wrong in ("0", "x", "9999", "16x"):
        assert "expected 64 or 64x48" in one_line(f"{name},image-size={wrong}")
