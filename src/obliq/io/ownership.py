"""`files.json`: the record of every file in a folder of ours, without which a folder is never replaced.

It proves to `--overwrite` that everything in a folder was written by this package and not changed since. It is no
signature: whoever can write the folder can write the record, too.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from obliq.errors import ObliqError
from obliq.io.document_text import DocumentText
from obliq.io.regular_file import read_regular_file

FILES_RECORD = "files.json"
_DOCUMENT = re.compile(rb'"(format|schema)":\s*"obliq[-.]')


@dataclass(frozen=True)
class FilesRecord:
    """What files.json holds.

    Attributes:
        files: SHA-256 of each file of the folder, in hexadecimal, by its path below the folder with `/`.
    """

    files: dict[str, str]


_FILES_DOCUMENT = DocumentText(
    content=FilesRecord,
    format="obliq-files",
    title="record",
    largest=2**26,  # bytes, some 500,000 files
)


def record_files(folder: Path) -> None:
    """Write the record of a folder that is complete."""
    _write(folder, {file.relative_to(folder).as_posix(): digest_of_file(file) for file in _files_in(folder)})


def record_file(folder: Path, name: str, content: bytes) -> None:
    """Note that a file with this content is added to a folder of ours; a folder without a record is left as it is.

    Raises:
        ObliqError: when the record cannot be read.
    """
    if not (folder / FILES_RECORD).exists():
        return
    _write(folder, read_files_record(folder).files | {name: hashlib.sha256(content).hexdigest()})


def _write(folder: Path, files: dict[str, str]) -> None:
    (folder / FILES_RECORD).write_text(_FILES_DOCUMENT.to_text(FilesRecord(files)), encoding="utf-8")


def read_files_record(folder: Path) -> FilesRecord:
    """The record of a folder.

    Raises:
        ObliqError: when there is none, or it cannot be read.
    """
    return _FILES_DOCUMENT.read(folder / FILES_RECORD)


def require_written_by_us(folder: Path) -> None:
    """Raise unless every file of a folder is in its record and unchanged; recorded files may have been deleted.

    Raises:
        ObliqError: naming the first file that is not ours.
    """
    try:
        if folder.is_symlink() or not folder.is_dir():
            raise ObliqError("it is no folder")
        if not (folder / FILES_RECORD).exists():
            old = f"; a result of an earlier version has none, and `rm -r {folder}` makes room for a new one"
            raise ObliqError(f"it has no {FILES_RECORD}{old if _holds_document(folder) else ''}")
        record = read_files_record(folder).files
        for file in _files_in(folder):
            name = file.relative_to(folder).as_posix()
            if name not in record:
                raise ObliqError(f"it holds {name}, which is not in {FILES_RECORD}")
            if file.is_symlink() or not file.is_file() or digest_of_file(file) != record[name]:
                raise ObliqError(f"its file {name} is not what {FILES_RECORD} records")
    except ObliqError as error:
        raise ObliqError(
            f"{folder} was not written by obliq as it is, so it is not replaced: {error}; expected a folder whose "
            f"{FILES_RECORD} records every file in it, or another --out"
        ) from error


def read_recorded_file(folder: Path, name: str, largest: int) -> bytes:
    """The content of a file of a folder of ours, if it is what the record of the folder states.

    Args:
        folder: not a link.
        name: of a file right in the folder.
        largest: size in bytes up to which it is read.

    Raises:
        ObliqError: when it is missing, a link, too large, or another than was written.
    """
    if folder.is_symlink():
        raise ObliqError(f"{folder} is a link; expected a folder")
    content = read_regular_file(folder / name, largest)
    if hashlib.sha256(content).hexdigest() != read_files_record(folder).files.get(name):
        raise ObliqError(
            f"{folder / name} is not what {FILES_RECORD} records; expected the file as it was written"
        )
    return content


def remove_recorded(folder: Path) -> None:
    """Remove the files of a folder that its record names, and then the folder.

    Raises:
        OSError: when one of them cannot be removed, or something that is not recorded has been added.
    """
    record = read_files_record(folder).files
    for file in list(_files_in(folder)):
        if file.relative_to(folder).as_posix() in record:
            file.unlink()
    (folder / FILES_RECORD).unlink()
    for below in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        below.rmdir()
    folder.rmdir()


def digest_of_file(file: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _holds_document(folder: Path) -> bool:
    """Whether a JSON file directly in a folder begins as our documents do."""
    for file in folder.glob("*.json"):
        if file.is_file() and not file.is_symlink():
            with file.open("rb") as opened:
                if _DOCUMENT.search(opened.read(2**16)):
                    return True
    return False


def _files_in(folder: Path) -> Iterator[Path]:
    """Everything in a folder but its record and folders, in the order of names; links are not followed."""
    for path in sorted(folder.rglob("*")):
        if path != folder / FILES_RECORD and (path.is_symlink() or not path.is_dir()):
            yield path
