"""Writing files and folders so that they appear whole or not at all."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from obliq.errors import ObliqError
from obliq.io.drafts import Draft, draft_of, what_is_left
from obliq.io.durable import exchange, make_folder, sync, sync_tree
from obliq.io.ownership import record_files, remove_recorded, require_written_by_us

LEAST_ROOM = 4 * 2**20
"""Bytes that are free where anything is written."""


@contextlib.contextmanager
def new_folder(destination: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a hidden folder next to `destination` to write into, and put it into place at the end.

    When the body fails or is interrupted, nothing is left, and what was at `destination` does not change. A full disk
    is reported in one line. After the return, a loss of power does not undo the result.

    An older folder is exchanged with the new one in one step where the system can do that, and otherwise moved aside
    first: for a moment nothing is at `destination`. If the process is killed in that moment, `obliq.io.drafts.sweep`
    puts the older folder back. The same function removes what a killed process leaves.

    Args:
        destination: where the folder will be.
        overwrite: whether a result of this package that is there may be replaced.

    Yields:
        The folder to write into.

    Raises:
        ObliqError: when something is there that may not be replaced, or the disk refuses; and when the new folder is in
            place but the older one cannot be removed completely, with what is left of it.
    """
    refuse_existing_folder(destination, overwrite=overwrite)
    with _one_line_for_disk_errors(destination):
        make_folder(destination.parent)
        with draft_of(destination) as draft:
            draft.path.mkdir()
            yield draft.path
            record_files(draft.path)
            sync_tree(draft.path)
            refuse_existing_folder(destination, overwrite=overwrite)  # another process may have been faster
            older = _put(draft)
            sync(destination.parent)
            if older is not None:
                _remove_older(older, draft)


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
    write_files({destination: content}, overwrite=overwrite, private=private)


def write_files(
    contents: Mapping[Path, bytes | str], *, overwrite: bool = False, private: bool = False
) -> None:
    """Write several files that belong together: all of them or none.

    All are written and on the disk before the first appears. They appear in the order given. If one cannot be put into
    place, those before it are taken back. A process that is killed between two of them leaves the first ones; each is
    whole.

    Args:
        contents: what to write by where.
        overwrite: as for `write_file`.
        private: as for `write_file`.

    Raises:
        ObliqError: as `write_file`.
    """
    for destination in contents:
        refuse_existing_file(destination, overwrite=overwrite)
    with contextlib.ExitStack() as drafts:
        written = []
        for destination, content in contents.items():
            drafts.enter_context(_one_line_for_disk_errors(destination))
            make_folder(destination.parent)
            written.append(drafts.enter_context(draft_of(destination)))
            _write(written[-1].path, content, private=private)
        for destination in contents:
            refuse_existing_file(destination, overwrite=overwrite)  # another process may have been faster
        if len(written) == 1:
            written[0].path.replace(written[0].destination)
        else:
            _put_all(written)
            for draft in written:
                draft.remove()  # what was replaced, so that a loss of power does not bring it back
        for folder in {destination.parent for destination in contents}:
            sync(folder)


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


def refuse_existing_folder(destination: Path, *, overwrite: bool, inputs: Sequence[Path] = ()) -> None:
    """Raise unless `destination` is free or may be replaced.

    Args:
        destination: a folder to be written.
        overwrite: whether what is there may be replaced.
        inputs: files and folders that are read. Nothing that is or holds one of them is replaced.

    Raises:
        ObliqError: when something is there and `overwrite` is false, it holds a file that this package did not
            write, or it could not be removed. A mistyped name must not cost anyone a folder of something else.
    """
    if not destination.name or destination.name == "..":
        raise ObliqError(f"cannot write {destination}; expected a path that ends in the name of a folder")
    require_room(destination)
    if not (destination.exists() or destination.is_symlink()):
        return
    if not overwrite:
        raise ObliqError(f"{destination} exists already; choose another --out or pass --overwrite")
    require_written_by_us(destination)
    for given in inputs:
        if destination.resolve() in (given.resolve(), *given.resolve().parents):
            raise ObliqError(
                f"--out {destination} would replace {given}, which this command reads; choose another --out"
            )
    require_removable(destination)


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


def require_removable(folder: Path) -> None:
    """Raise unless every file in a folder can be removed, so that a replaced result does not stay.

    Raises:
        ObliqError: naming the first folder that may not be changed.
    """
    for below in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        if not os.access(below, os.W_OK | os.X_OK):
            raise ObliqError(
                f"{below} may not be changed, so the older result in it could not be removed; expected permission to "
                "write there, or another --out"
            )


def _write(file: Path, content: bytes | str, *, private: bool) -> None:
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(file, flags, 0o600 if private else 0o666), "wb") as opened:
        opened.write(content.encode() if isinstance(content, str) else content)
        opened.flush()
        os.fsync(opened.fileno())


def _put_all(drafts: Sequence[Draft]) -> None:
    """Put files into place, or none of them. What they replaced stays beside them until all are there."""
    put: list[tuple[Draft, Path | None]] = []
    try:
        for draft in drafts:
            put.append((draft, _put(draft)))  # noqa: PERF401 - what was put so far is needed when the next one fails
    except BaseException:
        for draft, older in reversed(put):
            if older is None:
                draft.destination.unlink()
            else:
                older.replace(draft.destination)
        raise


def _put(draft: Draft) -> Path | None:
    """Put a draft into place; where an older result lies now, None where there was none."""
    if not draft.destination.exists():
        draft.path.rename(draft.destination)
        return None
    if exchange(draft.path, draft.destination):
        return draft.path
    draft.destination.rename(draft.replaced)  # put back by `Draft.remove` when the next step fails
    draft.path.rename(draft.destination)
    return draft.replaced


def _remove_older(older: Path, draft: Draft) -> None:
    """Remove a replaced folder.

    Raises:
        ObliqError: with what is left of it.
    """
    try:
        remove_recorded(older)
    except (OSError, ObliqError) as error:
        draft.given_up = True
        draft.foreign = getattr(error, "errno", None) == errno.ENOTEMPTY  # somebody added a file meanwhile
        raise ObliqError(
            f"the new result is in {draft.destination}, but the older one could not be removed: "
            f"{what_is_left(older)} ({getattr(error, 'strerror', None) or error}). Remove it by hand: "
            f"`obliq residue {older.parent}` lists what it holds"
        ) from error
    sync(older.parent)


@contextlib.contextmanager
def _one_line_for_disk_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ObliqError(f"cannot write {target}: {error.strerror or error}") from error
