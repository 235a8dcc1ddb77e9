"""Kinds of JSON documents that are files: what `obliq.io.document_text` declares and reads, written in one step."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

from obliq.io.atomic import write_file
from obliq.io.document_text import Content, DocumentText


@final
@dataclass(frozen=True, kw_only=True)
class DocumentType(DocumentText[Content]):
    """A kind of document, which is read strictly and written whole or not at all; see `DocumentText`."""

    def write(self, file: Path, content: Content, *, overwrite: bool = False, private: bool = False) -> None:
        """Write a file; see `obliq.io.atomic.write_file`.

        Raises:
            ObliqError: when it exists and may not be replaced, or cannot be written.
        """
        write_file(file, self.to_text(content), overwrite=overwrite, private=private)
