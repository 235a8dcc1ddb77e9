"""Folders and files that appear whole or not at all."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from obliq.errors import ObliqError

MARKS = ("model.json", "audit.json", "shipped.json")
"""A folder that holds one of these is a result of ours."""


@contextlib.contextmanager
def new_folder(destination: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a hidden folder beside `destination` to write into; rename it into place at the end.

    When the body fails or is interrupted, nothing is left behind and what stood at
    `destination` stays as it was. A full disk is reported in one line.

    A folder cannot be exchanged for another in one step everywhere, so replacing one takes two renames. An
    interrupt between them is undone; after a loss of power, or a process killed, exactly there, nothing stands at
    `destination`, and the old folder and the new one lie whole beside it, hidden, as `.NAME-...-replaced` and
    `.NAME-...`. Files (`write_file`) are replaced in one step.
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
            refuse_existing_folder(destination, overwrite=overwrite)  # somebody may have come first
            _replace_folder(draft, destination)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_file(destination: Path, content: bytes, *, overwrite: bool = False) -> None:
    """Write a file that appears when it is complete; what stood there before stays until then.

    Args:
        destination: where.
        content: what.
        overwrite: whether a file that is there may be replaced.

    Raises:
        ObliqError: when something is there that may not be replaced, or the disk refuses.
    """
    refuse_existing_file(destination, overwrite=overwrite)
    draft = destination.with_name(f".{destination.name}-{secrets.token_hex(6)}")
    try:
        with _one_line_for_disk_errors(destination):
            draft.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
            with os.fdopen(os.open(draft, flags, 0o666), "wb") as opened:
                opened.write(content)
                opened.flush()
                os.fsync(opened.fileno())
            refuse_existing_file(destination, overwrite=overwrite)  # somebody may have come first
            draft.replace(destination)
    finally:
        draft.unlink(missing_ok=True)


def refuse_existing_file(destination: Path, *, overwrite: bool) -> None:
    """Raise unless a file may be written at `destination`.

    Raises:
        ObliqError: when something is there and `overwrite` is false, or it is no regular file.
    """
    if not destination.name or destination.name == "..":
        raise ObliqError(f"cannot write {destination}; expected a file with a name of its own")
    if not (destination.exists() or destination.is_symlink()):
        return
    if not overwrite:
        raise ObliqError(f"{destination} exists already; choose another --out or pass --overwrite")
    if destination.is_symlink() or not destination.is_file():
        raise ObliqError(
            f"{destination} is no regular file, so it is not replaced; expected one, or another --out"
        )


def refuse_existing_folder(destination: Path, *, overwrite: bool) -> None:
    """Raise unless `destination` is free or may be replaced.

    Raises:
        ObliqError: when something is there and `overwrite` is false, or it is no result of ours: a
            mistyped name must not cost anyone a folder of something else.
    """
    if not destination.name or destination.name == "..":
        raise ObliqError(f"cannot write {destination}; expected a folder with a name of its own")
    if not (destination.exists() or destination.is_symlink()):
        return
    if not overwrite:
        raise ObliqError(f"{destination} exists already; choose another --out or pass --overwrite")
    if destination.is_symlink() or not any((destination / mark).is_file() for mark in MARKS):
        raise ObliqError(
            f"{destination} is no folder made by obliq, so it is not replaced; expected one that holds "
            f"{' or '.join(MARKS)}, or another --out"
        )


def _replace_folder(draft: Path, destination: Path) -> None:
    if not destination.exists():
        draft.rename(destination)
        return
    aside = draft.with_name(draft.name + "-replaced")
    try:
        destination.rename(aside)
        draft.rename(destination)
    except BaseException:  # an interrupt between the two as well
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
