"""The cache of results, by the digest of their inputs. An entry whose content does not have its digest is refused.

    runs/bench/<first two digits>/<digest>/entry.json   inputs, numbers, and the digests of files
                                           ...          signals and weights

Entries appear whole or not at all.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from obliq.errors import ObliqError
from obliq.io.atomic import new_folder
from obliq.io.documents import DocumentType
from obliq.io.drafts import remove_tree
from obliq.io.regular_file import read_regular_file
from obliq.io.strict_json import render_json

ENTRY = "entry.json"
LARGEST_FILE = 2**34


class CacheError(ObliqError):
    """An entry of the cache that does not have its digest."""


@dataclass(frozen=True)
class CacheEntry:
    """One result.

    Attributes:
        folder: of its files.
        values: numbers and texts.
        files: SHA-256 of each file next to `entry.json`, by its path.
    """

    folder: Path
    values: Mapping[str, Any]
    files: Mapping[str, str]

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            CacheError: when it is not the file that was written.
        """
        file = self.folder / name
        try:
            content = read_regular_file(file, LARGEST_FILE)
        except ObliqError as error:
            raise CacheError(f"{file}: {error}{_REMEDY}") from error
        if hashlib.sha256(content).hexdigest() != self.files.get(name):
            raise CacheError(
                f"{file} does not have its digest in {ENTRY}; expected it as it was written{_REMEDY}"
            )
        return content


_REMEDY = " (delete its folder to compute it again)"


def digest_of(values: Mapping[str, object]) -> str:
    """SHA-256 of values as JSON text."""
    return hashlib.sha256(render_json(values).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class EntryDocument:
    """The content of `entry.json`.

    Attributes:
        made_by: the inputs of the result; their digest is the name of the folder.
        values: numbers and texts.
        files: SHA-256 of each file next to `entry.json`, by its path.
        content: digest of `values` and `files`.
    """

    made_by: dict[str, Any]
    values: dict[str, Any]
    files: dict[str, str]
    content: str

    def __post_init__(self) -> None:
        if self.content != _content_digest(self.values, self.files):
            raise CacheError(
                "the content does not have the digest that it states; expected it as it was written"
            )


ENTRY_DOCUMENT = DocumentType(content=EntryDocument, format=None, title="entry", error=CacheError)


@dataclass(frozen=True)
class ResultCache:
    """A folder of entries."""

    folder: Path

    def entry_folder(self, key: str) -> Path:
        """The folder of the entry with this key, whether it exists or not."""
        return self.folder / key[:2] / key

    def find(self, key: str) -> CacheEntry | None:
        """The entry with this key; None when there is none.

        Raises:
            CacheError: when it belongs to other inputs, or has changed since.
        """
        folder = self.entry_folder(key)
        if not folder.is_dir():
            return None
        file = folder / ENTRY
        try:
            found = ENTRY_DOCUMENT.read(file)
        except ObliqError as error:
            raise CacheError(f"{error}{_REMEDY}") from error
        if digest_of(found.made_by) != key:
            raise CacheError(
                f"{file} belongs to other code, data or settings than its folder's name states; expected it as it was "
                f"written{_REMEDY}"
            )
        return CacheEntry(folder, found.values, found.files)

    def put(
        self,
        inputs: Mapping[str, object],
        values: Mapping[str, object],
        write: Callable[[Path], object] = lambda draft: None,
    ) -> None:
        """Add an entry; when it is there already, nothing happens.

        Args:
            inputs: what decides the result; their digest is the key.
            values: numbers and texts.
            write: writes files into the folder that it is given.

        Raises:
            ObliqError: when the folder cannot be written.
        """
        folder = self.entry_folder(digest_of(inputs))
        if folder.is_dir():
            return
        with new_folder(folder) as draft:
            write(draft)
            files = {
                file.relative_to(draft).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
                for file in sorted(draft.rglob("*"))
                if file.is_file()
            }
            entry = EntryDocument(
                made_by=dict(inputs),
                values=dict(values),
                files=files,
                content=_content_digest(values, files),
            )
            (draft / ENTRY).write_text(ENTRY_DOCUMENT.to_text(entry), encoding="utf-8")

    def remove_drafts(self) -> None:
        """Remove what killed processes have left half-written; call it with the lock held."""
        for draft in self.folder.glob("[0-9a-f][0-9a-f]/.*"):
            remove_tree(draft)


def _content_digest(values: object, files: object) -> str:
    return digest_of({"values": values, "files": files})
