"""The user's own images, in a folder with one sub-folder per class."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from jaxtyping import UInt8
from torch import Tensor

from obliq.data.collection import LARGEST, Collection, user_collection
from obliq.data.names import in_order
from obliq.data.source_options import SourceOptions
from obliq.errors import DataError, ObliqError
from obliq.io.budget import Budget
from obliq.io.isolated.child import isolated_reader
from obliq.io.isolated.reader import ReadArrays, Reader, ReaderFailedError, Task
from obliq.io.regular_file import read_regular_file, size_of

SUFFIXES = (".png", ".jpg", ".jpeg")
_LARGEST_IMAGE = 2**24  # pixels
_LARGEST_FILE = 2**28  # bytes of one image
_BATCH, _BATCH_BYTES = 256, 2**22  # images that are sent at once, and bytes of them before and after decoding
_MEMORY = 3 * 2**29  # bytes of the child: the largest file, and the largest image in each form of decoding


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
    images = read_images(name, files, size=options.image_size)
    return user_collection(
        name,
        images,
        torch.tensor(labels),
        class_names=class_names,
        channels=images.shape[1],
        sample_names=tuple(file.relative_to(folder).as_posix() for file in files),
        options=options,
    )


def read_images(
    name: str, files: Sequence[Path], *, size: tuple[int, int] | None = None, in_colour: bool = False
) -> UInt8[Tensor, "images channels height width"]:
    """PNG and JPEG images, turned as their EXIF orientation states.

    Args:
        name: of the data set, for errors.
        files: at least one.
        size: width and height to scale them to; as they are when left out.
        in_colour: give grey images three equal channels, for sets of photographs of which a few are grey.

    Raises:
        DataError: for an image that cannot be read or whose size or colours differ from the first one's.
    """
    budget = Budget(size_of(*files), DataError)
    seconds = 60 + len(files) // 10 + budget.size // 2**19  # of a slow processor
    memory = _MEMORY + 12 * math.prod(size or ())
    with isolated_reader(("pictures",), memory=memory, seconds=seconds) as reader:
        pictures = _Pictures(name, size, in_colour, budget, reader)
        first = next(pictures.read(files[:1]))[1][0]
        total = len(files) * first.numel()
        budget.spend(f"{name}: pixels of {len(files)} images", memory=total)
        if total > LARGEST:
            raise DataError(f"{name}: {total:,} bytes of pixels; expected at most {LARGEST:,}")
        images = torch.empty((len(files), *first.shape), dtype=torch.uint8)
        start = 0
        for file, some in pictures.read(files, like=first):
            if some.shape[1:] != first.shape:
                raise DataError(
                    f"{name}: {file} is {_size_of(some[0])} but {files[0]} is {_size_of(first)}; expected all alike"
                    + _scaled_instead(name, some[0], first)
                )
            images[start : start + len(some)] = some
            start += len(some)
    return images


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


@dataclass(frozen=True)
class _Pictures:
    """Reads files as images (channels, height, width), upright and scaled to a size where one is given."""

    name: str
    size: tuple[int, int] | None
    in_colour: bool
    budget: Budget
    reader: Reader

    def read(self, files: Sequence[Path], like: Tensor | None = None) -> Iterator[tuple[Path, Tensor]]:
        """Images (images, channels, height, width) with the first file of each part.

        The first image whose shape differs from that of `like` is a part of its own, and the last.
        """
        waiting: Callable[[], Iterator[tuple[Path, Tensor]]] | None = None
        try:
            for batch in self._batches(files, like):  # is read while the one before is decoded
                if waiting is not None:
                    yield from waiting()
                waiting = self._begun(batch, like)
        except _UnreadableError:
            if waiting is not None:  # the images before it come first
                yield from waiting()
            raise
        if waiting is not None:
            yield from waiting()

    def _batches(self, files: Sequence[Path], like: Tensor | None) -> Iterator[list[tuple[Path, bytes]]]:
        most = 1 if like is None else max(1, min(_BATCH, _BATCH_BYTES // like.numel()))
        batch: list[tuple[Path, bytes]] = []
        held = 0
        for file in files:
            try:
                content = read_regular_file(file, _LARGEST_FILE)
            except ObliqError as error:
                if batch:
                    yield batch
                raise _UnreadableError(f"{self.name}: {file}: {error}") from error
            batch.append((file, content))
            held += len(content)
            if len(batch) == most or held > _BATCH_BYTES:
                yield batch
                batch, held = [], 0
        if batch:
            yield batch

    def _begun(
        self, batch: Sequence[tuple[Path, bytes]], like: Tensor | None
    ) -> Callable[[], Iterator[tuple[Path, Tensor]]]:
        """Let a child decode a batch; what is returned waits for it."""
        arguments = {
            "name": self.name,
            "files": [str(file) for file, _ in batch],
            "size": self.size,
            "in_colour": self.in_colour,
            "pixels": _LARGEST_IMAGE,
            "like": None if like is None else [*like.shape[1:], like.shape[0]],
        }
        most = 3 * max(_LARGEST_IMAGE, math.prod(self.size or ()))  # of one with another shape
        most += 0 if like is None else len(batch) * like.numel()
        contents = [content for _, content in batch]
        finish = self.reader.begin(Task("pictures", arguments, self.budget, most, contents))

        def decoded() -> Iterator[tuple[Path, Tensor]]:
            try:
                parts = self._checked(finish(), len(batch), like)
            except ReaderFailedError as error:
                if len(batch) == 1:
                    raise DataError(f"{self.name}: {batch[0][0]}: {error}") from error
                for each in batch:  # another child finds out which of them ended it
                    yield from self._begun([each], like)()
                return
            start = 0
            for some in parts:
                yield batch[start][0], torch.from_numpy(some).permute(0, 3, 1, 2)
                start += len(some)

        return decoded

    @staticmethod
    def _checked(found: ReadArrays, count: int, like: Tensor | None) -> list[npt.NDArray[Any]]:
        """As many images as were sent, or fewer and one of another shape."""
        another = (1, None, None, None)
        if like is None:
            return found.of_shapes(another)
        alike = (*like.shape[1:], like.shape[0])
        if found.arrays and found.arrays[-1].shape[1:] != alike:
            before = sum(len(part) for part in found.arrays[:-1])
            return found.of_shapes(*([(min(before, count - 1), *alike)] if before else []), another)
        return found.of_shapes((count, *alike))


class _UnreadableError(DataError):
    """A file that cannot be opened."""


def _scaled_instead(name: str, pixels: Tensor, first: Tensor) -> str:
    """The option for pictures of several sizes; it does not help where colours differ."""
    return f", or {name},image-size=64 to scale all of them" if len(pixels) == len(first) else ""


def _size_of(pixels: Tensor) -> str:
    channels, height, width = pixels.shape
    return f"{width}x{height} {'RGB' if channels == 3 else 'grey'}"
