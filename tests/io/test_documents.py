import dataclasses
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest

from obliq.errors import DataError, ModelError, ObliqError
from obliq.io.document_text import DocumentText
from obliq.io.documents import DocumentType


@dataclass(frozen=True, kw_only=True)
class Note:
    text: str
    number: int = 0

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ModelError(f"number is {self.number}; expected 0 or more")


NOTE = DocumentType(content=Note, format="a-note", version=2, title="note", error=DataError, largest=200)
PLAIN = DocumentText(content=Note, format=None, title="note")
IN_ORDER = DocumentText(content=Note, format="a-note", format_field="schema", sort=False)


def test_the_header_stands_in_the_text() -> None:
    note = Note(text="ä", number=1)
    assert NOTE.to_text(note) == (
        '{\n  "format": "a-note",\n  "number": 1,\n  "text": "\\u00e4",\n  "version": 2\n}\n'
    )
    assert PLAIN.to_text(note) == '{\n  "number": 1,\n  "text": "\\u00e4"\n}\n'
    assert IN_ORDER.to_text(note) == (
        '{\n  "schema": "a-note",\n  "version": 1,\n  "text": "ä",\n  "number": 1\n}\n'
    )
    by_default = DocumentText(content=Note, format="a-note")
    assert by_default.to_text(note) == NOTE.to_text(note).replace('"version": 2', '"version": 1')
    for kind in (NOTE, PLAIN, IN_ORDER, by_default):
        assert kind.from_text(kind.to_text(note).encode()) == note


def test_files_are_written_once_and_private_where_asked(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "note.json"
    NOTE.write(file, Note(text="a"))
    assert NOTE.read(file) == Note(text="a")
    with pytest.raises(ObliqError, match="exists already"):
        NOTE.write(file, Note(text="b"))
    NOTE.write(file, Note(text="b"), overwrite=True, private=True)
    assert NOTE.read(file) == Note(text="b")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in file.parent.iterdir()] == ["note.json"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "the text is a list; expected a JSON object"),
        ("{}", 'format is null; expected "a-note"'),
        ('{"format": "b", "version": 2}', 'format is "b"; expected "a-note"'),
        ('{"format": "a-note"}', "version is null; expected a whole number from 1"),
        ('{"format": "a-note", "version": true}', "version is true; expected a whole number from 1"),
        ('{"format": "a-note", "version": 0}', "version is 0; expected a whole number from 1"),
        ('{"format": "a-note", "version": 3}', "version is 3, which a newer Obliq wrote; expected 2"),
        ('{"format": "a-note", "version": 1}', "version is 1, which an older Obliq wrote; expected 2"),
        ('{"format": "a-note", "version": 2, "text": 3, "number": 0}', "note.text is 3; expected a text"),
        ('{"format": "a-note", "version": 2, "text": "", "number": -1}', "number is -1; expected 0 or more"),
        (" " * 201, "201 bytes; expected at most 200"),
    ],
)
def test_errors_name_the_file_and_are_of_the_documents_kind(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "note.json"
    file.write_text(text)
    with pytest.raises(DataError) as refused:
        NOTE.read(file)
    assert str(refused.value) == f"{file}: {message}"


def test_files_that_are_absent_or_of_an_older_version(tmp_path: Path) -> None:
    file = tmp_path / "note.json"
    assert NOTE.read_if_present(file) is None
    assert NOTE.read_if_current(file) is None
    file.write_text('{"format": "a-note", "version": 1, "other": "fields"}')
    assert NOTE.read_if_current(file) is None
    with pytest.raises(DataError, match="an older Obliq"):
        NOTE.read_if_present(file)
    file.write_text(NOTE.to_text(Note(text="a")))
    assert NOTE.read_if_present(file) == NOTE.read_if_current(file) == Note(text="a")
    file.unlink()
    file.symlink_to(tmp_path / "nowhere")
    for read in (NOTE.read, NOTE.read_if_present, NOTE.read_if_current):
        with pytest.raises(DataError, match="links are not followed"):
            read(file)


def test_older_versions_are_read_as_far_as_declared() -> None:
    since_one = dataclasses.replace(NOTE, oldest=1)
    assert since_one.from_text(b'{"format": "a-note", "version": 1, "text": "a", "number": 0}') == Note(
        text="a"
    )


def test_what_could_not_be_read_back_is_not_written(tmp_path: Path) -> None:
    room = 200 - len(NOTE.to_text(Note(text="")))
    assert len(NOTE.to_text(Note(text="x" * room))) == 200
    with pytest.raises(DataError, match="201 bytes; expected at most 200, which are read back"):
        NOTE.to_text(Note(text="x" * (room + 1)))
    with pytest.raises(DataError, match=r"note\.text is 3; expected a text"):
        NOTE.write(tmp_path / "note.json", Note(text=3))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
