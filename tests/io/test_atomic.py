import errno
import os
import stat
from pathlib import Path

import pytest

from obliq.errors import ObliqError
from obliq.io import atomic
from obliq.io.atomic import new_folder, refuse_existing_folder, write_file, write_files
from obliq.io.drafts import Draft, sweep
from obliq.io.ownership import FILES_RECORD


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    with new_folder(tmp_path / "out") as draft:
        (draft / "model.json").write_text("old")
        (draft / "request.json").write_text("old")
    return tmp_path / "out"


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
    (ours / "request.json").unlink()  # erased since
    with new_folder(ours, overwrite=True) as draft:
        (draft / "audit.json").write_text("new")
    assert sorted(file.name for file in ours.iterdir()) == ["audit.json", FILES_RECORD]
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
    monkeypatch.setattr(atomic, "exchange", lambda one, other: False)
    with pytest.raises((ObliqError, KeyboardInterrupt)), new_folder(ours, overwrite=True):
        pass
    assert (ours / "model.json").read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("exchanges", [True, False])
def test_what_cannot_be_removed_is_an_error_that_names_it(
    exchanges: bool, ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    if not exchanges:
        monkeypatch.setattr(atomic, "exchange", lambda one, other: False)
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "remove_recorded", refuse)
        with pytest.raises(ObliqError, match=r"could not be removed: .*request\.json.*not permitted"):  # noqa: SIM117
            with new_folder(ours, overwrite=True) as draft:
                (draft / "model.json").write_text("new")
    assert (ours / "model.json").read_text() == "new"
    (left,) = [path for path in tmp_path.iterdir() if path.is_dir() and path != ours]
    assert (left / "request.json").read_text() == "old"
    (line,) = sweep(tmp_path)  # the next run tries again
    assert line.startswith(f"removed {left}")
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_a_file_that_is_added_at_the_last_moment_is_kept(
    ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(draft: Draft) -> Path | None:
        (ours / "thesis.txt").write_text("ten years")
        return real(draft)

    real = atomic._put
    monkeypatch.setattr(atomic, "_put", put)
    with pytest.raises(ObliqError, match=r"still holds thesis\.txt"), new_folder(ours, overwrite=True):
        pass
    assert sweep(tmp_path) == []
    assert [file.read_text() for file in tmp_path.rglob("thesis.txt")] == ["ten years"]


@pytest.mark.parametrize("change", ["added", "changed", "link", "no record", "forged record"])
def test_a_folder_with_anything_foreign_is_not_replaced(change: str, ours: Path, tmp_path: Path) -> None:
    if change == "added":
        (ours / ".git").mkdir()
        (ours / ".git" / "HEAD").write_text("ref: refs/heads/main")
    elif change == "changed":
        (ours / "model.json").write_text("mine")
    elif change == "link":
        (ours / "model.json").unlink()
        (ours / "model.json").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "elsewhere").write_text("old")
    elif change == "no record":
        (ours / FILES_RECORD).unlink()
    else:
        (ours / FILES_RECORD).write_text('{"format": "obliq-files", "version": 1, "files": {}}')
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with (
        pytest.raises(ObliqError, match=r"was not written by obliq as it is"),
        new_folder(ours, overwrite=True),
    ):
        pass
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_a_record_never_removes_anything_outside(ours: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("ten years")
    record = ours / FILES_RECORD
    record.write_text(record.read_text().replace('"request.json"', '"../thesis.txt"'))
    (ours / "request.json").unlink()
    with new_folder(ours, overwrite=True):
        pass
    assert (tmp_path / "thesis.txt").read_text() == "ten years"


def test_a_folder_that_came_in_between_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ObliqError, match="exists already"), new_folder(out):  # noqa: PT012 - fails at its end
        out.mkdir()
        (out / "model.json").write_text("another run's")
    assert (out / "model.json").read_text() == "another run's"
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_what_may_be_replaced(ours: Path, tmp_path: Path) -> None:
    refuse_existing_folder(tmp_path / "free", overwrite=False)
    with pytest.raises(ObliqError, match="pass --overwrite"):
        refuse_existing_folder(ours, overwrite=False)
    refuse_existing_folder(ours, overwrite=True)
    link = tmp_path / "link"
    link.symlink_to(ours)
    with pytest.raises(ObliqError, match="was not written by obliq"):
        refuse_existing_folder(link, overwrite=True)
    (ours / FILES_RECORD).unlink()
    with pytest.raises(ObliqError, match=rf"it has no {FILES_RECORD}; expected") as refused:
        refuse_existing_folder(ours, overwrite=True)
    assert "rm -r" not in str(refused.value)  # it may be anything
    (ours / "audit.json").write_text('{"schema": "obliq.audit"}')
    with pytest.raises(ObliqError, match=rf"earlier version has none, and `rm -r {ours}` makes room"):
        refuse_existing_folder(ours, overwrite=True)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_folder_that_cannot_be_removed_is_refused_before_any_work(ours: Path) -> None:
    ours.chmod(0o555)
    try:
        with pytest.raises(ObliqError, match="may not be changed"):
            refuse_existing_folder(ours, overwrite=True)
    finally:
        ours.chmod(0o755)


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


@pytest.mark.parametrize("exchanges", [True, False])
@pytest.mark.parametrize("old", [True, False])
def test_files_that_belong_together_appear_all_or_none(
    exchanges: bool, old: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / name for name in ("network", "network.json", "network.sig")]
    if old:
        write_files(dict.fromkeys(files, b"old"))
    if not exchanges:
        monkeypatch.setattr(atomic, "exchange", lambda one, other: False)
    real = atomic._put
    for refused in range(len(files)):

        def put(draft: Draft, refused: int = refused) -> Path | None:
            if draft.destination == files[refused]:
                raise PermissionError(errno.EACCES, "Permission denied")
            return real(draft)

        with monkeypatch.context() as patch:
            patch.setattr(atomic, "_put", put)
            with pytest.raises(ObliqError, match="Permission denied"):
                write_files(dict.fromkeys(files, b"new"), overwrite=True)
        assert {file.name: file.read_text() for file in tmp_path.iterdir()} == (
            {file.name: "old" for file in files} if old else {}
        )
    write_files(dict.fromkeys(files, b"new"), overwrite=True)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        file.name: "new" for file in files
    }
