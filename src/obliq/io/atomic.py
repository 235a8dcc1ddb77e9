"""Writing files and folders so that they appear whole or not at all."""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from obliq.errors import ObliqError

MARKS = ("model.json", "audit.json", "shipped.json")
"""A folder that holds one of these files is a result of this package."""

LEAST_ROOM = 4 * 2**20
"""Bytes that are free where anything is written."""


@contextlib.contextmanager
def new_folder(destination: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a hidden folder next to `destination` to write into, and rename it into place at the end.

    When the body fails or is interrupted, nothing is left, and what was at `destination` does not change.
    A full disk is reported in one line.

    Not every system can exchange two folders in one step, so replacing one takes two renames. An interrupt between
    them is undone. After a loss of power or a killed process exactly there, nothing is at `destination`. The
    old and the new folder then lie next to it, whole and hidden, as `.NAME-...-replaced` and `.NAME-...`. Files
    (`write_file`) are replaced in one step.

    Args:
        destination: where the folder will be.
        overwrite: whether a result of this package that is there may be replaced.

    Yields:
        The folder to write into.

    Raises:
        ObliqError: when something is there that may not be replaced, or the disk refuses.
    """
    refuse_existing_folder(destination, overwrite=overwrite)
    draft = destination.with_name(f".{destination.name}-{secrets.token_hex(6)}")
    try:
        with _one_line_for_disk_errors(destination):
            draft.mkdir(parents=True)
            yield draft
            for file in draft.rglob("*"):
                if file.is_file():
                    _sync(file)
            refuse_existing_folder(destination, overwrite=overwrite)  # another process may have been faster
            _replace_folder(draft, destination)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_file(
    destination: Path, content: bytes | str, *, overwrite: bool = False, private: bool = False
) -> None:
    """Write a file that appears when it is complete; an older one remains until then.

    Args:
        destination: where; missing folders above it are created.
        content: bytes, or text that is written as UTF-8.
        overwrite: whether a file that is there may be replaced.
        private: whether only its owner may read and write it.

    Raises:
        ObliqError: when something is there that may not be replaced, or the disk refuses.
    """
    refuse_existing_file(destination, overwrite=overwrite)
    draft = destination.with_name(f".{destination.name}-{secrets.token_hex(6)}")
    with _one_line_for_disk_errors(destination):
        try:
            draft.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
            with os.fdopen(os.open(draft, flags, 0o600 if private else 0o666), "wb") as opened:
                opened.write(content.encode() if isinstance(content, str) else content)
                opened.flush()
                os.fsync(opened.fileno())
            refuse_existing_file(destination, overwrite=overwrite)  # another process may have been faster
            draft.replace(destination)
        finally:
            draft.unlink(missing_ok=True)


def refuse_existing_file(destination: Path, *, overwrite: bool) -> None:
    """Raise unless a file may be written at `destination`.

    Raises:
        ObliqError: when something is there and `overwrite` is false, or it is no regular file.
    """
    if not destination.name or destination.name == "..":
        raise ObliqError(f"cannot write {destination}; expected a path that ends in the name of a file")
    require_room(destination)
    if not (destination.exists() or destination.is_symlink()):
        return
    if not overwrite:
        raise ObliqError(f"{destination} exists already; choose another --out or pass --overwrite")
    if destination.is_symlink() or not destination.is_file():
        raise ObliqError(
            f"{destination} is not a regular file, so it is not replaced; expected one, or another --out"
        )


def refuse_existing_folder(destination: Path, *, overwrite: bool) -> None:
    """Raise unless `destination` is free or may be replaced.

    Raises:
        ObliqError: when something is there and `overwrite` is false, or it is not a result of this package. A
            mistyped name must not cost anyone a folder of something else.
    """
    if not destination.name or destination.name == "..":
        raise ObliqError(f"cannot write {destination}; expected a path that ends in the name of a folder")
    require_room(destination)
    if not (destination.exists() or destination.is_symlink()):
        return
    if not overwrite:
        raise ObliqError(f"{destination} exists already; choose another --out or pass --overwrite")
    if destination.is_symlink() or not any((destination / mark).is_file() for mark in MARKS):
        raise ObliqError(
            f"{destination} was not written by obliq, so it is not replaced; expected a folder that holds "
            f"{' or '.join(MARKS)}, or another --out"
        )


def require_room(destination: Path, size: int = LEAST_ROOM) -> None:
    """Raise unless something new can be written at `destination`, so that nobody computes for hours in vain.

    Args:
        destination: a file or a folder; folders above it may be missing.
        size: bytes that must be free.

    Raises:
        ObliqError: when the place is no folder, may not be written to, or has too little room.
    """
    above = destination.absolute().parent
    while not (above.exists() or above.is_symlink()) and above != above.parent:
        above = above.parent
    with _one_line_for_disk_errors(destination):
        if not above.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{os.strerror(errno.ENOTDIR)} ({above})")
        if not os.access(above, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, f"{os.strerror(errno.EACCES)} ({above})")
        free = shutil.disk_usage(above).free
    if free < size:
        raise ObliqError(
            f"cannot write {destination}: {free / 2**20:.0f} MiB are free in {above}; expected at least "
            f"{size / 2**20:.0f} MiB"
        )


def _replace_folder(draft: Path, destination: Path) -> None:
    if not destination.exists():
        draft.rename(destination)
        return
    aside = draft.with_name(draft.name + "-replaced")
    try:
        destination.rename(aside)
        draft.rename(destination)
    except BaseException:  # also an interrupt between the two renames
        if aside.exists() and not destination.exists():
            aside.rename(destination)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _sync(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


@contextlib.contextmanager
def _one_line_for_disk_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ObliqError(f"cannot write {target}: {error.strerror or error}") from error
