"""What has been computed, by the digest of what made it; nothing that does not agree with its digest is used.

    runs/bench/<first two digits>/<digest>/entry.json   what made it, numbers, and the digests of files
                                           ...          signals and weights

Entries appear whole or not at all.
"""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from obliq.errors import ObliqError
from obliq.io.atomic import new_folder
from obliq.io.documents import DocumentType
from obliq.io.regular_file import read_regular_file
from obliq.io.strict_json import render_json

ENTRY = "entry.json"
LARGEST_FILE = 2**34


class StoreError(ObliqError):
    """An entry of the cache that is not what its digest says."""


@dataclass(frozen=True)
class Entry:
    """One result.

    Attributes:
        folder: where it lies.
        values: numbers and texts.
        files: SHA-256 of each file beside `entry.json`, by its path.
    """

    folder: Path
    values: Mapping[str, Any]
    files: Mapping[str, str]

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            StoreError: when it is not the file that was written.
        """
        file = self.folder / name
        try:
            content = read_regular_file(file, LARGEST_FILE)
        except ObliqError as error:
            raise StoreError(f"{file}: {error}") from error
        if hashlib.sha256(content).hexdigest() != self.files.get(name):
            raise StoreError(f"{file} is not what {ENTRY} has the digest of; {_REMEDY}")
        return content


_REMEDY = "expected it as it was written (delete its folder to have it computed again)"


def key_of(made_by: Mapping[str, object]) -> str:
    """SHA-256 of what makes a result."""
    return hashlib.sha256(render_json(made_by).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class EntryFields:
    """What entry.json holds.

    Attributes:
        made_by: what makes the result; its digest is the name of the folder.
        values: numbers and texts.
        files: SHA-256 of each file next to entry.json, by its path.
        content: digest of `values` and `files`.
    """

    made_by: dict[str, Any]
    values: dict[str, Any]
    files: dict[str, str]
    content: str

    def __post_init__(self) -> None:
        if self.content != _content(self.values, self.files):
            raise StoreError(f"its content has another digest than it states; {_REMEDY}")


ENTRY_DOCUMENT = DocumentType(content=EntryFields, format=None, title="entry", error=StoreError)


@dataclass(frozen=True)
class Store:
    """A folder of entries."""

    folder: Path

    def place(self, key: str) -> Path:
        """Where the entry of a key lies, if there is one."""
        return self.folder / key[:2] / key

    def find(self, key: str) -> Entry | None:
        """The entry of a key; None when there is none.

        Raises:
            StoreError: when it was made by something else, or changed since.
        """
        place = self.place(key)
        if not place.is_dir():
            return None
        file = place / ENTRY
        found = ENTRY_DOCUMENT.read(file)
        if key_of(found.made_by) != key:
            raise StoreError(f"{file} was made by other code, data or settings than its name says; {_REMEDY}")
        return Entry(place, found.values, found.files)

    def put(
        self,
        made_by: Mapping[str, object],
        values: Mapping[str, object],
        write: Callable[[Path], object] = lambda draft: None,
    ) -> None:
        """Add an entry; when it is there already, nothing happens.

        Args:
            made_by: what makes it; its digest is the key.
            values: numbers and texts.
            write: puts files into the folder that it is given.

        Raises:
            ObliqError: when the folder cannot be written.
        """
        place = self.place(key_of(made_by))
        if place.is_dir():
            return
        with new_folder(place) as draft:
            write(draft)
            files = {
                file.relative_to(draft).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
                for file in sorted(draft.rglob("*"))
                if file.is_file()
            }
            fields = EntryFields(
                made_by=dict(made_by), values=dict(values), files=files, content=_content(values, files)
            )
            (draft / ENTRY).write_text(ENTRY_DOCUMENT.to_text(fields), encoding="utf-8")

    def sweep(self) -> None:
        """Remove what processes that were killed have left half-written; call it with the lock held."""
        for draft in self.folder.glob("[0-9a-f][0-9a-f]/.*"):
            shutil.rmtree(draft, ignore_errors=True)


def _content(values: object, files: object) -> str:
    return key_of({"values": values, "files": files})
