"""What a killed run leaves is removed by the next run; what a living run writes is not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from obliq.io import atomic
from obliq.io.atomic import new_folder, write_file
from obliq.io.drafts import draft_of, sweep

KILLED = """
import os, signal, sys
from pathlib import Path
from obliq.io import atomic

def kill(*given):
    os.kill(os.getpid(), signal.SIGKILL)

out, where = Path(sys.argv[1]), sys.argv[2]
if where == "between":
    atomic.exchange = lambda one, other: False
    real = Path.rename
    Path.rename = lambda self, target: kill() if self.name[0] == "." else real(self, target)
elif where == "after":
    atomic.remove_recorded = kill
elif where == "file":
    os.fsync = kill
    atomic.write_file(out / "request.json", b"who")
with atomic.new_folder(out, overwrite=True) as draft:
    (draft / "request.json").write_text("who")
    if where == "within":
        kill()
"""


def killed(out: Path, where: str) -> None:
    process = subprocess.run([sys.executable, "-c", KILLED, out, where], check=False)
    assert process.returncode == -signal.SIGKILL


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "files.json"
    }


@pytest.mark.parametrize(
    ("where", "result", "lines"),
    [("within", "old", 1), ("between", "old", 2), ("after", "new", 1), ("file", "old", 1)],
)
def test_a_killed_run_is_swept(where: str, result: str, lines: int, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with new_folder(out) as draft:
        (draft / "model.json").write_text("old")
    killed(out, where)
    below = out if where == "file" else tmp_path
    assert list(below.glob(".*")), "the run was killed too late"
    assert out.exists() == (where != "between")
    assert len(sweep(below)) == lines
    expected = {"out/model.json": "old"} if result == "old" else {"out/request.json": "who"}
    assert contents(tmp_path) == expected
    assert sweep(below) == []


def test_what_a_living_run_writes_stays(tmp_path: Path) -> None:
    with new_folder(tmp_path / "out") as draft:
        (draft / "file").write_text("x")
        code = f"from pathlib import Path; from obliq.io.drafts import sweep; print(sweep(Path({str(tmp_path)!r})))"
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert said.stdout == "[]\n"
        assert sweep(tmp_path) == []  # nor does the run itself
    assert contents(tmp_path) == {"out/file": "x"}


def test_names_that_look_alike_stay(tmp_path: Path) -> None:
    for name in (".out-0123456789ab", ".out.obliq-lock", "x-0123456789ab.obliq-lock", ".thesis-0123456789ab"):
        (tmp_path / name).write_text("mine")
    (tmp_path / ".thesis-0123456789ab.obliq-lock").symlink_to(tmp_path / ".out.obliq-lock")
    before = contents(tmp_path)
    assert sweep(tmp_path) == []
    assert sweep(tmp_path / "missing") == []
    assert contents(tmp_path) == before


def test_a_draft_that_cannot_be_removed_is_reported_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(tmp_path / "out", "within")
    with monkeypatch.context() as patch:
        patch.setattr(
            "shutil.rmtree", lambda path, onerror: onerror(os.rmdir, path, PermissionError(1, "No"))
        )
        for _ in range(2):
            (line,) = sweep(tmp_path)
            assert line.startswith("WARNING: of a run that was killed, ")
            assert "request.json" in line
    assert len(sweep(tmp_path)) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_was_taken_for_a_dead_one_is_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from filelock import FileLock

    names = iter(["0" * 12, "1" * 12])
    monkeypatch.setattr("secrets.token_hex", lambda size: next(names))
    with FileLock(tmp_path / f".out-{'0' * 12}.obliq-lock"), draft_of(tmp_path / "out") as draft:
        assert draft.path.name == f".out-{'1' * 12}"


def test_names_are_exchanged_in_one_step_here(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_file(tmp_path / name, name)
    if not atomic.exchange(tmp_path / "one", tmp_path / "other"):
        pytest.skip("this file system exchanges no names")
    assert contents(tmp_path) == {"one": "other", "other": "one"}
    with pytest.raises(FileNotFoundError):
        atomic.exchange(tmp_path / "one", tmp_path / "missing")
