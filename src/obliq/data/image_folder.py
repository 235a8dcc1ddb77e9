"""The user's own images, in a folder with one sub-folder per class."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from obliq.data.collection import LARGEST, Collection, user_collection
from obliq.data.names import in_order
from obliq.data.pictures import PICTURE_ERRORS, open_picture
from obliq.data.source_options import SourceOptions
from obliq.errors import DataError, ObliqError
from obliq.io.budget import Budget
from obliq.io.regular_file import read_regular_file, size_of
from obliq.io.visible_text import reason_of

SUFFIXES = (".png", ".jpg", ".jpeg")
_CHANNELS = {"L": 1, "RGB": 3}
_LARGEST_IMAGE = 2**24  # pixels
_LARGEST_FILE = 2**28  # bytes of one image


def from_folder(name: str, folder: Path, options: SourceOptions | None = None) -> Collection:
    """Read PNG and JPEG images, turned as their EXIF orientation states.

    Classes are in the order of their numbers where all folders are called by numbers, otherwise in alphabetical
    order, as the images of each are. The id of an image is its path in the folder, such as `cats/a.png`.

    Args:
        name: of the collection: `folder:` and the path as the user wrote it.
        folder: has one sub-folder per class; hidden files and files with other suffixes are ignored.
        options: what the name states about the size and the scale.

    Raises:
        DataError: for a missing folder, a class without images, or an image that cannot be read or
            whose size or colours differ from the first one's.
    """
    options = options or SourceOptions()
    files, labels, class_names = _listing(name, folder)
    budget = Budget(size_of(*files), DataError)
    first = _pixels(name, files[0], options.image_size, budget)
    size = len(files) * first.numel()
    budget.spend(f"{name}: pixels of {len(files)} images", memory=size)
    if size > LARGEST:
        raise DataError(f"{name}: {size:,} bytes of pixels; expected at most {LARGEST:,}")
    images = torch.empty((len(files), *first.shape), dtype=torch.uint8)
    for position, file in enumerate(files):
        pixels = _pixels(name, file, options.image_size, budget)
        if pixels.shape != first.shape:
            raise DataError(
                f"{name}: {file} is {_size_of(pixels)} but {files[0]} is {_size_of(first)}; expected all alike"
                + _scaled_instead(name, pixels, first)
            )
        images[position] = pixels
    return user_collection(
        name,
        images,
        torch.tensor(labels),
        class_names=class_names,
        channels=images.shape[1],
        sample_names=tuple(file.relative_to(folder).as_posix() for file in files),
        options=options,
    )


def _listing(name: str, folder: Path) -> tuple[list[Path], list[int], tuple[str, ...]]:
    if not folder.is_dir():
        raise DataError(f"{name}: {folder} is not a folder; expected a folder with one sub-folder per class")
    try:
        entries = [entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
        classes = [folder / class_name for class_name in in_order(entry.name for entry in entries)]
        if len(classes) < 2:
            raise DataError(
                f"{name}: {len(classes)} folders in {folder}; expected at least two, one per class"
            )
        found = [sorted(filter(_is_image, entry.iterdir())) for entry in classes]
    except OSError as error:
        raise DataError(f"{name}: cannot list {folder}: {error.strerror or error}") from error
    for entry, images in zip(classes, found, strict=True):
        if not images:
            raise DataError(f"{name}: no image in {entry}; expected {', '.join(SUFFIXES)} files")
    files = [file for images in found for file in images]
    labels = [label for label, images in enumerate(found) for _ in images]
    return files, labels, tuple(entry.name for entry in classes)


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and not file.is_dir()


def _pixels(name: str, file: Path, size: tuple[int, int] | None, budget: Budget) -> Tensor:
    """One image as (channels, height, width), upright and scaled to a size where one is given."""
    from PIL import Image, ImageOps

    try:
        data = read_regular_file(file, _LARGEST_FILE)
        with open_picture(data, ("PNG", "JPEG"), budget) as image:
            if image.mode not in _CHANNELS:
                raise DataError(f"{name}: {file} has mode {image.mode}; expected grey (L) or RGB")
            if image.width * image.height > _LARGEST_IMAGE:
                raise DataError(
                    f"{name}: {file} has {image.width}x{image.height} pixels; expected smaller images"
                )
            channels = _CHANNELS[image.mode]
            upright = ImageOps.exif_transpose(image)  # a camera stores how it was held, and not turned pixels
            if size is not None:
                upright = upright.resize(size, Image.Resampling.BILINEAR)
            pixels = np.array(upright)
    except DataError:
        raise
    except ObliqError as error:
        raise DataError(f"{name}: {file}: {error}") from error
    except PICTURE_ERRORS as error:
        raise DataError(
            f"{name}: cannot read {file} as an image ({reason_of(error)}); expected PNG or JPEG"
        ) from error
    return torch.from_numpy(pixels).view(*pixels.shape[:2], channels).permute(2, 0, 1)


def _scaled_instead(name: str, pixels: Tensor, first: Tensor) -> str:
    """The option for pictures of several sizes; it does not help where colours differ."""
    return f", or {name},image-size=64 to scale all of them" if len(pixels) == len(first) else ""


def _size_of(pixels: Tensor) -> str:
    channels, height, width = pixels.shape
    return f"{width}x{height} {'RGB' if channels == 3 else 'grey'}"
