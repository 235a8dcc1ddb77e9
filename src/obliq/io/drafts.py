"""Drafts: hidden neighbours of a result that are written first, and what a killed run leaves of them.

A draft of `out` is called `.out-0123456789ab`. While its run lives, the run holds a lock on
`.out-0123456789ab.obliq-lock`. The operating system releases this lock when the process ends, however it ends. A draft
whose lock is free therefore belongs to a dead run and is removed by the next one.

Where two names cannot be exchanged in one step, an older result lies for a moment at `.out-0123456789ab-replaced`. If
a run is killed at that moment, the next one puts the older result back.
"""

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from obliq.errors import ObliqError
from obliq.io.visible_text import first_of

LOCK_SUFFIX, REPLACED_SUFFIX = ".obliq-lock", "-replaced"
_LOCK_NAME = re.compile(rf"\.(?P<name>.+)-[0-9a-f]{{12}}{re.escape(LOCK_SUFFIX)}", re.DOTALL)


@dataclass
class Draft:
    """A place to write into before anything appears at the destination.

    Attributes:
        path: of the draft; nothing is there yet.
        destination: where its content will appear.
        given_up: whether what is left of it stays, since an error names it already.
        foreign: whether it holds a file of somebody else, so that later runs keep it, too.
    """

    path: Path
    destination: Path
    given_up: bool = False
    foreign: bool = False

    @property
    def replaced(self) -> Path:
        """Where an older result lies while names cannot be exchanged."""
        return self.path.with_name(self.path.name + REPLACED_SUFFIX)

    def remove(self) -> list[str]:
        """Remove what is left of it; an older result is put back where nothing is at the destination.

        Returns:
            What was done, in words.

        Raises:
            ObliqError: when something cannot be removed, with what is left.
        """
        done = []
        if _exists(self.replaced) and not _exists(self.destination):
            self.replaced.rename(self.destination)
            done.append(f"put {self.destination} back, which a killed run was replacing")
        for left in (self.path, self.replaced):
            if _exists(left):
                remove_tree(left)
                done.append(f"removed {left}, an unfinished or replaced result of a run that was killed")
        return done


@contextlib.contextmanager
def draft_of(destination: Path) -> Iterator[Draft]:
    """A new draft beside a destination, with its lock held; the folder above exists.

    Raises:
        OSError: when the lock's file cannot be written.
    """
    from filelock import FileLock, Timeout

    while True:
        path = destination.with_name(f".{destination.name}-{secrets.token_hex(6)}")
        file = path.with_name(path.name + LOCK_SUFFIX)
        lock = FileLock(file)
        try:
            lock.acquire(timeout=0)
            break
        except Timeout:  # another run looked at the file before it was locked, and took it for a dead one's
            continue
    draft, settled = Draft(path, destination), False
    try:
        yield draft
    finally:
        try:
            if not draft.given_up:
                draft.remove()
            settled = draft.foreign or not draft.given_up
        finally:
            lock.release()
            if settled:  # otherwise the next run tries again
                file.unlink(missing_ok=True)


def sweep(folder: Path) -> list[str]:
    """Remove the drafts that dead runs have left in a folder; those of living runs stay.

    Args:
        folder: looked at itself, without those below it. It may be missing.

    Returns:
        What was done, and what could not be removed, a line each.
    """
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - text is all that is needed
    except OSError:
        return []
    found: list[str] = []
    for name in names:
        match = _LOCK_NAME.fullmatch(name)
        if match is not None and not (folder / name).is_symlink():
            path = folder / name.removesuffix(LOCK_SUFFIX)
            found += _swept(Draft(path, folder / match["name"]), folder / name)
    return found


def _swept(draft: Draft, file: Path) -> list[str]:
    """Deal with one draft, whose lock has this file."""
    from filelock import FileLock, Timeout

    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):  # alive, or not ours to lock
        return []
    try:
        done = draft.remove()
    except (ObliqError, OSError) as error:
        return [f"WARNING: of a run that was killed, {error}"]
    finally:
        lock.release()
    file.unlink(missing_ok=True)
    return done


def remove_tree(path: Path) -> None:
    """Remove a file or a folder of ours completely.

    Raises:
        ObliqError: when something cannot be removed, with what is left.
    """
    problems: list[BaseException] = []

    def note(function: object, name: object, error: object) -> None:
        problems.append(error[1] if isinstance(error, tuple) else OSError(str(error)))

    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, onerror=note)
    else:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            problems.append(error)
    if problems and _exists(path):
        reason = getattr(problems[0], "strerror", None) or problems[0]
        raise ObliqError(f"{what_is_left(path)}, which cannot be removed: {reason}")


def what_is_left(path: Path) -> str:
    """A path with the first files in it, for an error that names them."""
    if not path.is_dir():
        return f"{path} is left"
    files = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if not file.is_dir())
    return f"{path} still holds {first_of(files, 4) or 'empty folders'}"


def _exists(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def is_draft(path: Path) -> bool:
    """Whether a path is a draft that has the file of its lock, or an older result that was moved aside."""
    return bool(path.name) and _lock_file(path).is_file()


def is_held(path: Path) -> bool:
    """Whether a path is the draft of a living run."""
    from filelock import FileLock, Timeout

    if not is_draft(path):
        return False
    lock = FileLock(_lock_file(path))
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return True
    lock.release()
    return False


def _lock_file(draft: Path) -> Path:
    return draft.with_name(draft.name.removesuffix(REPLACED_SUFFIX) + LOCK_SUFFIX)
