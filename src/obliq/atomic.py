"""Files and folders that appear whole or not at all."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from obliq.errors import ObliqError


@contextlib.contextmanager
def new_folder(destination: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a hidden folder beside `destination` to write into; rename it into place at the end.

    When the body fails or is interrupted, nothing is left behind and what stood at
    `destination` stays as it was. A full disk is reported in one line.
    """
    refuse_existing(destination, overwrite=overwrite)
    with _one_line_for_disk_errors(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{destination.name}-", dir=destination.parent))
    try:
        with _one_line_for_disk_errors(destination):
            yield draft
            draft.chmod(0o755)
            for file in draft.rglob("*"):
                if file.is_file():
                    _sync(file)
            _replace_folder(draft, destination)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def refuse_existing(destination: Path, *, overwrite: bool) -> None:
    """Raise unless `destination` is free or may be replaced.

    Raises:
        ObliqError: when something is there and `overwrite` is false.
    """
    if destination.exists() and not overwrite:
        raise ObliqError(f"{destination} exists already; choose another --out or pass --overwrite")


def write_text(file: Path, text: str) -> None:
    """Write a text file so that a reader sees the old or the new content, never a part."""
    with _one_line_for_disk_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as draft:
                draft.write(text)
                draft.flush()
                os.fsync(draft.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(file)
        finally:
            Path(name).unlink(missing_ok=True)


def _replace_folder(draft: Path, destination: Path) -> None:
    if not destination.exists():
        draft.rename(destination)
        return
    aside = draft.with_name(draft.name + "-replaced")
    destination.rename(aside)
    try:
        draft.rename(destination)
    except OSError:
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
