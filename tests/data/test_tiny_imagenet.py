"""Tiny ImageNet from a folder in the form of its archive."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from obliq.data import load_dataset
from obliq.errors import DataError

CLASSES = ("n02124075", "n01443537", "n09999999")


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OBLIQ_DATA", raising=False)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny-imagenet-200"
    random = np.random.default_rng(0)

    def image(file: Path, *shape: int) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(file, "JPEG")

    for name in CLASSES:
        for number in range(2):
            image(folder / "train" / name / "images" / f"{name}_{number}.JPEG", 64, 64, 3)
    image(folder / "train" / CLASSES[0] / "images" / "grey.JPEG", 64, 64)
    answers = []
    for number, name in enumerate((CLASSES[2], CLASSES[0])):
        image(folder / "val" / "images" / f"val_{number}.JPEG", 64, 64, 3)
        answers.append(f"val_{number}.JPEG\t{name}\t0\t0\t62\t62")
    (folder / "val" / "val_annotations.txt").write_text("\n".join(answers) + "\n")
    (folder / "wnids.txt").write_text("\n".join(CLASSES) + "\n")
    (folder / "words.txt").write_text(
        "n02124075\tEgyptian cat\nn01443537\tgoldfish, Carassius auratus\nn1\tother\n"
    )
    return folder


def test_images_classes_and_parts(archive: Path, tmp_path: Path) -> None:
    collection = load_dataset("tiny-imagenet", tmp_path)
    assert collection.sample_shape == (3, 64, 64)
    assert collection.labels.tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 0]
    assert collection.official_test is not None
    assert collection.official_test.tolist() == [False] * 7 + [True] * 2
    assert collection.class_names == ("Egyptian cat", "goldfish", "n09999999")
    grey = collection.inputs[0]  # "grey" comes before "n0..."
    assert bool((grey[0] == grey[1]).all())
    assert not bool((collection.inputs[1][0] == collection.inputs[1][1]).all())
    with Image.open(archive / "val" / "images" / "val_1.JPEG") as image:
        assert np.array_equal(collection.inputs[8].permute(1, 2, 0).numpy(), np.asarray(image))


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("wnids.txt", "n02124075\nn00000007\n", r"n00000007.images has no image"),
        ("wnids.txt", "n02124075\n../n7\n", r"wnids.txt has '../n7'; expected numbers such as"),
        ("wnids.txt", "n02124075\nn02124075\n", r"wnids.txt has 'n02124075'; expected .* each once"),
        ("val/val_annotations.txt", "val_0.JPEG\tn01443537\nval_0.JPEG\tn02124075\n", "its class, once"),
        ("val/val_annotations.txt", "val_0.JPEG\tn7\n", "expected an image and its class"),
        ("val/val_annotations.txt", "../../x.JPEG\tn01443537\n", "expected an image and its class"),
        ("val/val_annotations.txt", "val_9.JPEG\tn01443537\n", r"val_9\.JPEG"),
        (
            "val/val_annotations.txt",
            "",
            r"val_annotations\.txt has no lines; expected an image and its class in each",
        ),
        (
            "val/val_annotations.txt",
            " \n\n",
            r"val_annotations\.txt has no lines; expected an image and its class",
        ),
        ("wnids.txt", "", r"wnids\.txt has no lines; expected numbers such as n01443537, one in each"),
        ("val/images/val_0.JPEG", "no picture", r"val_0\.JPEG"),
    ],
)
def test_wrong_content_is_one_error(
    file: str, content: str, message: str, archive: Path, tmp_path: Path
) -> None:
    (archive / file).write_text(content)
    with pytest.raises(DataError, match=message):
        load_dataset("tiny-imagenet", tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"files of tiny-imagenet are missing: looked for wnids\.txt"):
        load_dataset("tiny-imagenet", tmp_path)
