import stat
from pathlib import Path

import pytest

from obliq.errors import ObliqError
from obliq.io.atomic import new_folder, refuse_existing_folder, write_file


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "model.json").write_text("old")
    return folder


def test_a_folder_appears_when_it_is_complete(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with new_folder(out) as draft:
        (draft / "inner").mkdir()
        (draft / "inner" / "file").write_text("x")
        assert not out.exists()
        assert draft.parent == out.parent
        assert draft.name.startswith(".out-")
    assert (out / "inner" / "file").read_text() == "x"
    assert [file.name for file in out.parent.iterdir()] == ["out"]


def test_the_folder_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with new_folder(tmp_path / "out"):
        pass
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "out")}
    assert len(modes) == 1


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_of_what_was_not_finished(
    error: type[BaseException], ours: Path, tmp_path: Path
) -> None:
    for out in (ours, tmp_path / "new"):
        with pytest.raises(error):  # noqa: PT012, SIM117 - the block is what fails
            with new_folder(out, overwrite=True) as draft:
                (draft / "model.json").write_text("half")
                raise error
    assert [file.name for file in tmp_path.iterdir()] == ["out"]
    assert (ours / "model.json").read_text() == "old"


def test_a_folder_of_ours_is_replaced_whole(ours: Path, tmp_path: Path) -> None:
    (ours / "request.json").write_text("old")
    with new_folder(ours, overwrite=True) as draft:
        (draft / "audit.json").write_text("new")
    assert [file.name for file in ours.iterdir()] == ["audit.json"]
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [OSError("no"), KeyboardInterrupt()])
def test_the_old_folder_comes_back_when_the_last_step_fails(
    error: BaseException, ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if target == ours and not self.name.endswith("-replaced"):
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises((ObliqError, KeyboardInterrupt)), new_folder(ours, overwrite=True):
        pass
    assert (ours / "model.json").read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_came_in_between_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ObliqError, match="exists already"), new_folder(out):  # noqa: PT012 - fails at its end
        out.mkdir()
        (out / "model.json").write_text("another run's")
    assert (out / "model.json").read_text() == "another run's"
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("mark", ["model.json", "audit.json"])
def test_what_may_be_replaced(mark: str, tmp_path: Path) -> None:
    refuse_existing_folder(tmp_path / "free", overwrite=False)
    folder = tmp_path / "taken"
    folder.mkdir()
    with pytest.raises(ObliqError, match="pass --overwrite"):
        refuse_existing_folder(folder, overwrite=False)
    with pytest.raises(ObliqError, match="was not written by obliq"):
        refuse_existing_folder(folder, overwrite=True)
    (folder / mark).write_text("{}")
    refuse_existing_folder(folder, overwrite=True)
    link = tmp_path / "link"
    link.symlink_to(folder)
    with pytest.raises(ObliqError, match="was not written by obliq"):
        refuse_existing_folder(link, overwrite=True)


@pytest.mark.parametrize("name", [".", "..", "/", "a/.."])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ObliqError, match="expected a path that ends in the name of a folder"):
        refuse_existing_folder(Path(name), overwrite=True)


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "file"
    write_file(out, b"new")
    (tmp_path / "plain").write_bytes(b"")
    assert out.read_bytes() == b"new"
    assert [file.name for file in out.parent.iterdir()] == ["file"]
    assert out.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_file_stays_as_it_was_when_writing_fails(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise error

    write_file(tmp_path / "file", b"old")
    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises((ObliqError, KeyboardInterrupt)):
        write_file(tmp_path / "file", b"new", overwrite=True)
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_what_a_file_may_replace(tmp_path: Path) -> None:
    write_file(tmp_path / "file", b"old")
    with pytest.raises(ObliqError, match="exists already"):
        write_file(tmp_path / "file", b"new")
    write_file(tmp_path / "file", b"new", overwrite=True)
    assert (tmp_path / "file").read_bytes() == b"new"
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "folder").mkdir()
    for name in ("link", "folder"):
        with pytest.raises(ObliqError, match="not a regular file"):
            write_file(tmp_path / name, b"new", overwrite=True)
    for path in (Path(".."), Path()):
        with pytest.raises(ObliqError, match="expected a path that ends in the name of a file"):
            write_file(path, b"")
