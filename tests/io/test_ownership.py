"""A folder is replaced or removed only where its record accounts for everything in it."""

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from obliq.errors import ObliqError
from obliq.io.ownership import (
    FILES_RECORD,
    read_files_record,
    read_recorded_file,
    record_file,
    record_files,
    remove_recorded,
    require_written_by_us,
)

CONTENTS = {"a.json": b"{}", "deep/er/b": b"2", f"deep/{FILES_RECORD}": b"not the record"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "ours"
    for name, content in CONTENTS.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(content)
    record_files(made)
    return made


def test_the_record_has_every_file_by_its_digest(folder: Path) -> None:
    expected = {name: sha256(content).hexdigest() for name, content in CONTENTS.items()}
    assert read_files_record(folder).files == expected
    require_written_by_us(folder)
    (folder / "c").write_bytes(b"3")
    record_file(folder, "c", b"3")
    assert read_files_record(folder).files == expected | {"c": sha256(b"3").hexdigest()}
    (folder / "a.json").unlink()  # what was recorded may be gone
    require_written_by_us(folder)


def test_a_folder_without_a_record_gets_none(tmp_path: Path) -> None:
    record_file(tmp_path, "a", b"1")
    assert list(tmp_path.iterdir()) == []


def replaced(name: str, make: Callable[[Path], object]) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return change


FOREIGN: dict[str, tuple[Callable[[Path], object], str]] = {
    "an added file": (
        lambda folder: (folder / "deep" / "x").write_bytes(b""),
        "it holds deep/x, which is not in",
    ),
    "an added link": (lambda folder: (folder / "x").symlink_to("a.json"), "it holds x, which is not in"),
    "a link to a folder": (lambda folder: (folder / "x").symlink_to("deep"), "it holds x, which is not in"),
    "a changed file": (lambda folder: (folder / "a.json").write_bytes(b"[]"), "its file a.json is not what"),
    "a changed file below": (
        lambda folder: (folder / "deep/er/b").write_bytes(b""),
        "its file deep/er/b is not",
    ),
    "a link to the same": (
        replaced(
            "a.json",
            lambda file: (file.parent.parent / "same").write_bytes(b"{}") and file.symlink_to("../same"),
        ),
        "its file a.json is not what",
    ),
    "a pipe": (replaced("a.json", os.mkfifo), "its file a.json is not what"),
    "no record": (
        lambda folder: (folder / FILES_RECORD).unlink(),
        f"it has no {FILES_RECORD}; expected a folder",
    ),
    "a large record": (
        lambda folder: os.truncate(folder / FILES_RECORD, 2**26 + 1),
        "67,108,865 bytes; expected at most 67,108,864",
    ),
    "a broken record": (lambda folder: (folder / FILES_RECORD).write_bytes(b"{}"), "format is null"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_not_accounted_for_is_named(name: str, folder: Path) -> None:
    change, message = FOREIGN[name]
    change(folder)
    with pytest.raises(ObliqError, match=f"^{folder} was not written by obliq as it is, .*{message}"):
        require_written_by_us(folder)


def test_what_is_no_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    for place in (tmp_path / "link", folder / "a.json", tmp_path / "missing"):
        with pytest.raises(ObliqError, match="it is no folder"):
            require_written_by_us(place)


@pytest.mark.parametrize(
    ("content", "ours"),
    [
        (b'{"format": "obliq-model"}', True),
        (b'{"schema":"obliq.audit"}', True),
        (b" " * (2**16 - 16) + b'{"format":"obliq-"', False),  # looked for in the first 64 KiB
        (b" " * (2**16 - 17) + b'{"format":"obliq-"', True),
        (b'{"format": "other"}', False),
    ],
)
def test_a_result_of_an_earlier_version_is_told_apart(content: bytes, ours: bool, tmp_path: Path) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "folder.json").mkdir()
    (tmp_path / "elsewhere").write_bytes(b'{"format": "obliq-model"}')
    (folder / "link.json").symlink_to(tmp_path / "elsewhere")
    (folder / "model.json").write_bytes(content)
    with pytest.raises(ObliqError) as refused:
        require_written_by_us(folder)
    assert ("a result of an earlier version has none" in str(refused.value)) == ours


def test_a_file_is_read_as_it_was_recorded(folder: Path, tmp_path: Path) -> None:
    assert read_recorded_file(folder, "a.json", 2) == b"{}"
    with pytest.raises(ObliqError, match="2 bytes; expected at most 1"):
        read_recorded_file(folder, "a.json", 1)
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(ObliqError, match="link is a link; expected a folder"):
        read_recorded_file(tmp_path / "link", "a.json", 2)
    for name in ("a.json", "new"):
        (folder / name).write_bytes(b"[]")
        with pytest.raises(ObliqError, match=f"{name} is not what {FILES_RECORD} records"):
            read_recorded_file(folder, name, 2)


def test_only_what_is_recorded_is_removed(folder: Path) -> None:
    (folder / "deep" / "foreign").write_bytes(b"1")
    with pytest.raises(OSError, match="not empty"):
        remove_recorded(folder)
    assert [path.name for path in folder.rglob("*")] == ["deep", "foreign"]
    (folder / "deep" / "foreign").unlink()
    record_files(folder)
    remove_recorded(folder)
    assert not folder.exists()
