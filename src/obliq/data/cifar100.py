"""CIFAR-100 (Krizhevsky 2009) from its binary files or its Python files."""

from collections.abc import Callable
from pathlib import Path

import torch

from obliq.data.cifar10 import (
    MEMORY,
    PIXELS,
    SECONDS,
    Part,
    batch_of,
    binary_rows,
    read_in_child,
)
from obliq.data.collection import Collection
from obliq.data.dataset_files import candidate_folders, file_content, missing_files
from obliq.errors import DataError
from obliq.io.budget import Budget
from obliq.io.isolated.child import isolated_reader
from obliq.io.regular_file import size_of

_NAMES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
FINE_CLASSES = tuple(_NAMES.split())
_LARGEST_FILE = 256 * 2**20  # bytes; the originals have 154 MB


def cifar100(folder: Path | None = None) -> Collection:
    """50,000 training and 10,000 test colour images of 32x32 pixels, 100 classes (the fine labels).

    Raises:
        DataError: when the files are missing, damaged, or pickles of anything but the expected arrays.
    """
    packagings: tuple[tuple[str, tuple[str, str], Callable[[list[Path]], list[Part]]], ...] = (
        ("cifar-100-binary", ("train.bin", "test.bin"), _binary),
        ("cifar-100-python", ("train", "test"), _python),  # last, since the other format cannot hold code
    )
    for below, names, read in packagings:
        for place in candidate_folders(folder, (below, f"cifar100/{below}", "", "cifar100")):
            if all((place / name).is_file() for name in names):
                return _joined(place, read([place / name for name in names]))
    raise missing_files(
        "cifar100",
        ("train.bin and test.bin", "or train and test"),
        folder,
        "get the official CIFAR-100 archive, binary or Python version, and unpack it there",
    )


def _joined(place: Path, parts: list[Part]) -> Collection:
    for images, labels in parts:
        if len(images) != len(labels) or not len(images):
            raise DataError(
                f"{place}: {len(images):,} images and {len(labels):,} labels; expected one label for each image"
            )
    (images, labels), (tests, test_labels) = parts
    return Collection(
        name="cifar100",
        inputs=torch.cat([images, tests]),
        labels=torch.cat([labels, test_labels]),
        official_test=torch.arange(len(labels) + len(test_labels)) >= len(labels),
        mean=(0.5071, 0.4866, 0.4409),
        deviation=(0.2673, 0.2564, 0.2762),
        class_names=FINE_CLASSES,
    )


def _binary(files: list[Path]) -> list[Part]:
    parts = []
    for file in files:
        labels, images = binary_rows(file, 2, _LARGEST_FILE)  # a coarse label and a fine one
        fine = labels[:, 1]
        if (largest := int(fine.max())) >= len(FINE_CLASSES):
            raise DataError(f"{file} has class {largest}; expected 0 to {len(FINE_CLASSES) - 1}")
        parts.append((images, fine))
    return parts


def _python(files: list[Path]) -> list[Part]:
    parts, budget = [], Budget(size_of(*files), DataError)
    with isolated_reader(("pickled batch",), memory=MEMORY, seconds=SECONDS) as reader:
        for file in files:
            content, wanted = file_content(file, _LARGEST_FILE), batch_of("fine_labels", len(FINE_CLASSES))
            data, labels = read_in_child(
                reader, "pickled batch", file, content, budget, wanted, (None, PIXELS), (None,)
            )
            parts.append((torch.from_numpy(data).reshape(-1, 3, 32, 32), torch.from_numpy(labels).long()))
    return parts
