"""Files are read only when they are what they should be; the rooms that read them have tests of their own kinds."""

import os
from pathlib import Path

import pytest

from obliq.errors import ObliqError
from obliq.io.regular_file import open_regular_file, read_regular_file, read_secret_file, size_of


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    assert read_regular_file(file, 5) == b"12345"
    with open_regular_file(file, 6) as (opened, size):
        assert (opened.read(2), size) == (b"12", 5)
    with pytest.raises(ObliqError, match=r"^5 bytes; expected at most 4$"):
        read_regular_file(file, 4)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(__file__)
    (tmp_path / "nowhere").symlink_to("nothing")
    os.mkfifo(tmp_path / "pipe")
    for name, message in (
        ("missing", "cannot be read: No such file or directory; expected a regular file"),
        ("folder", "is a folder; expected a regular file"),
        ("link", r"cannot be read \(links are not followed\): "),
        ("nowhere", r"cannot be read \(links are not followed\): "),
        ("pipe", "not a regular file; expected one"),
    ):
        with pytest.raises(ObliqError, match=f"^{message}"):
            read_regular_file(tmp_path / name, 2**20)


def test_a_secret_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"secret")
    for mode in range(0o600, 0o700):
        file.chmod(mode)
        assert read_secret_file(file, 6, allow_others=True) == b"secret"
        if mode & 0o066:
            with pytest.raises(ObliqError, match=rf"\(mode {mode:o}\); expected a file for its owner alone"):
                read_secret_file(file, 6)
        else:
            assert read_secret_file(file, 6) == b"secret"


def test_sizes_are_added_up_as_far_as_files_are_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"123")
    (tmp_path / "b").symlink_to("a")
    assert size_of(tmp_path / "a", tmp_path / "missing", tmp_path / "b") == 6
    assert size_of() == 0
