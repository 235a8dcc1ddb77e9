"""Tiny ImageNet (Stanford's CS231n, 2015), from the folder of its archive: 200 classes of ImageNet at 64x64 pixels."""

import re
from pathlib import Path

import torch

from obliq.data.collection import Collection
from obliq.data.dataset_files import candidate_folders, file_content, missing_files
from obliq.data.image_folder import read_images
from obliq.errors import DataError

_LISTED, _WORDS, _ANSWERS = "wnids.txt", "words.txt", "val/val_annotations.txt"
_LARGEST_LIST = 16 * 2**20  # bytes; words.txt has 2.7 MB


def tiny_imagenet(folder: Path | None = None) -> Collection:
    """100,000 training and 10,000 validation colour images of 64x64 pixels, 200 classes; validation images test.

    The few grey images get three equal channels. Images of the official test part have no labels and are not read.

    Raises:
        DataError: when files are missing or damaged, or the lists name classes or images that are not there.
    """
    for place in candidate_folders(folder, ("", "tiny-imagenet-200")):
        if all((place / name).is_file() for name in (_LISTED, _ANSWERS)):
            return _collection(place)
    raise missing_files(
        "tiny-imagenet",
        (_LISTED, _ANSWERS),
        folder,
        "get the archive tiny-imagenet-200.zip and unpack it there",
    )


def _collection(place: Path) -> Collection:
    listed = _entries(place / _LISTED, "numbers such as n01443537, one in each")
    for name in listed:
        if not re.fullmatch(r"n[0-9]{8}", name) or listed.count(name) > 1:
            raise DataError(
                f"{place / _LISTED} has {name[:40]!r}; expected numbers such as n01443537, each once"
            )
    numbers = {name: number for number, name in enumerate(listed)}
    files, labels = [], []
    for name, number in numbers.items():
        inside = place / "train" / name / "images"
        found = sorted(inside.glob("*.JPEG")) if inside.is_dir() else []
        if not found:
            raise DataError(f"{inside} has no image; expected some .JPEG files for each class in {_LISTED}")
        files += found
        labels += [number] * len(found)
    trained, tested = len(files), set[Path]()
    for line in _entries(place / _ANSWERS, "an image and its class in each"):
        image, name, *_ = (*line.split("\t"), "", "")
        file = place / "val" / "images" / image
        if name not in numbers or not re.fullmatch(r"[\w.-]+\.JPEG", image) or file in tested:
            raise DataError(
                f"{place / _ANSWERS} has the line {line[:80]!r}; expected an image and its class, once"
            )
        tested.add(file)
        files.append(file)
        labels.append(numbers[name])
    return Collection(
        name="tiny-imagenet",
        inputs=read_images("tiny-imagenet", [file.resolve() for file in files], in_colour=True),
        labels=torch.tensor(labels),
        official_test=torch.arange(len(files)) >= trained,
        mean=(0.4802, 0.4481, 0.3975),
        deviation=(0.2770, 0.2691, 0.2821),
        class_names=_class_names(place, list(numbers)),
    )


def _class_names(place: Path, listed: list[str]) -> tuple[str, ...]:
    """The first word for each class, and its number in WordNet where there is none or another class has the same."""
    words: dict[str, str] = {}
    if (place / _WORDS).is_file():
        pairs = (line.partition("\t") for line in _lines(place / _WORDS))
        words = {name: text.partition(",")[0].strip() for name, _, text in pairs if text.isprintable()}
    names = [words.get(name) or name for name in listed]
    return tuple(
        name if names.count(name) == 1 else number for name, number in zip(names, listed, strict=True)
    )


def _entries(file: Path, expected: str) -> list[str]:
    """The lines of a list that the data set cannot do without."""
    if not (lines := _lines(file)):
        raise DataError(f"{file} has no lines; expected {expected}. Unpack the archive again")
    return lines


def _lines(file: Path) -> list[str]:
    try:
        lines = file_content(file, _LARGEST_LIST).decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is no text in UTF-8; expected the original file") from error
    return [line.strip() for line in lines if line.strip()]
