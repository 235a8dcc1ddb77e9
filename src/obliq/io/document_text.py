"""Kinds of JSON documents as text: what each one holds, and which version of it is read, in one declaration."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from obliq.errors import ObliqError
from obliq.io.regular_file import read_regular_file
from obliq.io.strict_json import decode, encode, in_message, parse_json, render_json

LARGEST_DOCUMENT = 8 * 2**20
"""Bytes; no document but a request comes near."""

Content = TypeVar("Content")


def _unchanged(fields: dict[str, Any]) -> dict[str, Any]:
    return fields


@dataclass(frozen=True, kw_only=True)
class DocumentText(Generic[Content]):
    """A kind of document, which is read strictly; `obliq.io.documents` also writes it.

    Attributes:
        content: the dataclass that holds its fields; see `obliq.io.strict_json` for what they may be.
        format: the name in its header; None for a document without a header.
        version: the version in its header. A change that older readers would misread gets a new one.
        oldest: the oldest version that is read, with the same fields; the newest when left out.
        title: what errors call the document.
        error: what is raised when a document cannot be read.
        largest: size in bytes up to which it is read.
        format_field: the field of the header that holds `format`.
        to_stored: changes the fields of the content into those of the file, where the two differ.
        from_stored: the inverse, before the fields are checked.
        sort: see `render_json`.
    """

    content: type[Content]
    format: str | None
    version: int = 1
    oldest: int | None = None
    title: str = "document"
    error: type[ObliqError] = ObliqError
    largest: int = LARGEST_DOCUMENT
    format_field: str = "format"
    sort: bool = True
    to_stored: Callable[[dict[str, Any]], dict[str, Any]] = _unchanged
    from_stored: Callable[[dict[str, Any]], dict[str, Any]] = _unchanged

    @property
    def fields_of_header(self) -> dict[str, str | int]:
        """The header of every document of this kind; empty for one without a header."""
        return {} if self.format is None else {self.format_field: self.format, "version": self.version}

    def to_text(self, content: Content) -> str:
        """The document as JSON text; the same for equal contents.

        Raises:
            ObliqError: of the kind `error`, when the text could not be read back.
        """
        with self._own_errors():
            text = render_json({**self.fields_of_header, **self.to_stored(encode(content))}, sort=self.sort)
            if len(written := text.encode()) > self.largest:
                raise ObliqError(
                    f"{len(written):,} bytes; expected at most {self.largest:,}, which are read back"
                )
            self._content(*self._values(written))
        return text

    def from_text(self, text: bytes) -> Content:
        """The content of a document.

        Raises:
            ObliqError: of the kind `error`, naming the first thing that is not as it should be.
        """
        with self._own_errors():
            return self._content(*self._values(text))

    def read(self, file: Path) -> Content:
        """The content of a file.

        Raises:
            ObliqError: of the kind `error`, naming the file and what is wrong with it.
        """
        with self._own_errors(f"{file}: "):
            return self._content(*self._values(read_regular_file(file, self.largest)))

    def read_if_present(self, file: Path) -> Content | None:
        """The content of a file, None where there is none; see `read`."""
        return self.read(file) if _is_present(file) else None

    def read_if_current(self, file: Path) -> Content | None:
        """The content of a file, None where there is none, or one of an older version; see `read`."""
        if not _is_present(file):
            return None
        with self._own_errors(f"{file}: "):
            values, version = self._values(read_regular_file(file, self.largest))
            return None if version < self._oldest else self._content(values, version)

    def _values(self, text: bytes) -> tuple[dict[str, Any], int]:
        """The fields below the header, and the version, which is not a newer one."""
        values = parse_json(text)
        if self.format is None:
            return values, self.version
        format_, version = values.pop(self.format_field, None), values.pop("version", None)
        if format_ != self.format:
            raise ObliqError(
                f"{self.format_field} is {in_message(format_)}; expected {in_message(self.format)}"
            )
        if type(version) is not int or version < 1:
            raise ObliqError(f"version is {in_message(version)}; expected a whole number from 1")
        if version > self.version:
            raise ObliqError(f"version is {version}, which a newer Obliq wrote; expected {self.version}")
        return values, version

    def _content(self, values: dict[str, Any], version: int) -> Content:
        if version < self._oldest:
            expected = " or ".join(map(str, sorted({self._oldest, self.version})))
            if self.version > self._oldest + 1:
                expected = f"{self._oldest} to {self.version}"
            raise ObliqError(f"version is {version}, which an older Obliq wrote; expected {expected}")
        return decode(self.content, self.from_stored(values), self.title)

    @property
    def _oldest(self) -> int:
        return self.version if self.oldest is None else self.oldest

    @contextlib.contextmanager
    def _own_errors(self, prefix: str = "") -> Iterator[None]:
        try:
            yield
        except ObliqError as error:
            raise self.error(f"{prefix}{error}") from error


def _is_present(file: Path) -> bool:
    return file.exists() or file.is_symlink()  # a link that leads nowhere is refused, and not overlooked
