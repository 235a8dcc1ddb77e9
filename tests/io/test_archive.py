"""Archives are opened without trusting what they state about themselves."""

import io
import struct
import zipfile
from pathlib import Path

import pytest

from obliq.errors import ObliqError
from obliq.io.archive import LARGEST_DIRECTORY, open_archive


def archive_of(entries: dict[str, bytes]) -> io.BytesIO:
    opened = io.BytesIO()
    with zipfile.ZipFile(opened, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return opened


def test_entries_are_read_however_large() -> None:
    content = bytes(LARGEST_DIRECTORY + 1)
    with open_archive(archive_of({"a": content, "b": b"2"}), "an archive", "one") as archive:
        assert archive.namelist() == ["a", "b"]
        assert archive.read("a") == content
        assert archive.read("b") == b"2"
        with archive.open("a") as entry:
            entry.seek(LARGEST_DIRECTORY)
            assert entry.read() == b"\0"


def test_a_list_of_entries_has_a_limit() -> None:
    """The directory is read at once, and an entry takes 46 bytes and its name there."""
    longest = 2**16 - 1
    names = [f"{number:0{longest}}" for number in range(LARGEST_DIRECTORY // (46 + longest))]
    left = LARGEST_DIRECTORY - len(names) * (46 + longest) - 46
    whole = archive_of(dict.fromkeys([*names, "x" * left], b""))
    with open_archive(whole, "an archive", "one") as archive:
        assert len(archive.namelist()) == len(names) + 1
    with (
        pytest.raises(
            ObliqError,
            match=rf"^cannot be read as an archive \(a directory of {LARGEST_DIRECTORY + 1} bytes\); expected one$",
        ),
        open_archive(archive_of(dict.fromkeys([*names, "x" * (left + 1)], b"")), "an archive", "one"),
    ):
        pass


@pytest.mark.parametrize("content", [b"", b"PK", b"x" * 100, b"PK\x05\x06" + b"\xff" * 18])
def test_what_is_no_archive(content: bytes) -> None:
    with (
        pytest.raises(ObliqError, match=r"cannot be read as an archive \(.*\); expected one"),
        open_archive(io.BytesIO(content), "an archive", "one"),
    ):
        pass


@pytest.mark.parametrize("error", [EOFError, KeyError, MemoryError, OverflowError, zipfile.BadZipFile])
def test_damage_in_an_entry_is_refused_alike(error: type[Exception]) -> None:
    with (
        pytest.raises(ObliqError, match="expected one"),
        open_archive(archive_of({"a": b""}), "an archive", "one"),
    ):
        raise error("damaged")


def test_an_entry_before_the_start_of_the_file(tmp_path: Path) -> None:
    """The system refuses such a place with an error of its own, which names neither file nor format."""
    content = archive_of({"a": b"1"}).getvalue()
    directory = struct.unpack("<I", content[-6:-2])[0]
    file = tmp_path / "archive"
    file.write_bytes(content[:-6] + struct.pack("<I", directory + 100) + content[-2:])
    with (
        file.open("rb") as opened,
        pytest.raises(ObliqError, match=r"\(negative seek value -100\); expected one"),
        open_archive(opened, "an archive", "one") as archive,
    ):
        archive.read("a")
