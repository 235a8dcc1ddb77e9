"""What the machine refuses and what interrupts a command is one line too, and nothing half-written is left."""

import errno
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from obliq.cli import show
from obliq.cli.verbs import Verb, VerbOutput
from obliq.workflow import demo
from tests.cli.conftest import SHORT, Said, Way, forked, start
from tests.cli.refusals import nothing_written, refused

Obliq = Callable[..., Said]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), ("not enough memory",)),
        (torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate"), ("not enough memory",)),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), ("not enough memory",)),
        (
            PermissionError(errno.EACCES, "Permission denied", "/some/file"),
            ("/some/file: Permission denied",),
        ),
        (OSError("strange"), ("strange",)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_machine_refuses_is_one_line_too(
    error: Exception, words: tuple[str, ...], obliq: Obliq, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(error, monkeypatch)
    refused(obliq("show", "x"), *words)


def refuse(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> VerbOutput:
        raise error

    monkeypatch.setattr(show, "VERB", Verb(show.ShowArguments, fail))


def test_a_mistake_of_ours_keeps_its_traceback(obliq: Obliq, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(ZeroDivisionError("a mistake"), monkeypatch)
    with pytest.raises(ZeroDivisionError):
        obliq("show", "x")


def test_an_error_has_a_traceback_where_that_is_asked_for(
    obliq: Obliq, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(PermissionError(errno.EACCES, "Permission denied", "/some/file"), monkeypatch)
    for option in ("-v", "--verbose"):
        said = obliq("show", "x", option)
        assert said.status == 1
        assert "Traceback" in said.err
        assert said.err.splitlines()[-1] == "obliq: error: /some/file: Permission denied"


def test_an_interrupt_is_one_line(obliq: Obliq, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(KeyboardInterrupt(), monkeypatch)
    said = obliq("show", "x")
    assert (said.status, said.err) == (130, "obliq: interrupted; nothing half-written is left\n")


def test_letters_that_the_terminal_lacks(way: Way, tmp_path: Path) -> None:
    folder = tmp_path / "Müller\udcff\x1b[2J"
    shutil.copytree(way.original, folder)
    (folder / "model.safetensors").unlink()
    said = forked(tmp_path, "show", folder, prepare=lambda: sys.stderr.reconfigure(encoding="ascii"))
    refused(said, "M\\xfcller", "model.safetensors")
    assert "\x1b" not in said.err


def test_a_reader_that_has_had_enough(way: Way, tmp_path: Path) -> None:
    def read_nothing() -> None:
        reading, writing = os.pipe()
        os.close(reading)
        os.dup2(writing, 1)

    for words in (("show", way.original), ("--help",), ("train", "--help")):
        said = forked(tmp_path, *words, prepare=read_nothing)
        assert (said.status, said.out, said.err) == (141, "", "")


def test_a_closed_output(way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after `obliq show x >&-`: Python then has no sys.stdout."""

    def close() -> None:
        os.close(1)
        sys.stdout = None  # type: ignore[assignment]

    said = forked(tmp_path, "show", way.original, prepare=close)
    assert (said.status, said.out, said.err) == (0, "", "")


def test_a_full_disk_behind_the_output(way: Way, tmp_path: Path) -> None:
    def fill() -> None:
        os.dup2(os.open("/dev/full", os.O_WRONLY), 1)

    said = forked(tmp_path, "show", way.original, prepare=fill)
    refused(said, "No space left on device")


def test_a_real_limit_on_files(way: Way, tmp_path: Path) -> None:
    """As on a full disk, writing fails half-way."""
    words = ("train", f"npz:{way.data}", "--out", tmp_path / "out", *SHORT)
    limit = (resource.RLIMIT_FSIZE, (9000, 9000))
    refused(
        forked(tmp_path, *words, prepare=lambda: resource.setrlimit(*limit)), "cannot write", "File too large"
    )
    nothing_written(tmp_path)


def ended_soon(folder: Path, number: signal.Signals) -> Said:
    """The demo, which has its draft folder all the time, ended in the middle."""

    def prepare() -> None:
        demo.train_original = lambda *given: os.kill(os.getpid(), number)  # type: ignore[assignment]

    return forked(folder, "demo", "--out", folder / "out", "--threads", 1, prepare=prepare)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_termination_in_the_middle_is_orderly(number: signal.Signals, tmp_path: Path) -> None:
    said = ended_soon(tmp_path, number)
    assert (said.status, said.out) == (128 + number, "")
    assert "Traceback" not in said.err
    nothing_written(tmp_path)


def test_what_a_killed_run_left_is_removed_by_the_next(obliq: Obliq, way: Way, tmp_path: Path) -> None:
    assert ended_soon(tmp_path, signal.SIGKILL).status == -signal.SIGKILL
    (left,) = [file for file in tmp_path.iterdir() if file.is_dir()]
    said = obliq("export", way.unlearned, "--out", tmp_path / "network.onnx")
    assert said.status == 0
    assert f"removed {left}, " in " ".join(said.err.split())
    nothing_written(tmp_path, "network.onnx", "network.onnx.provenance.json")


def test_a_second_file_that_cannot_be_written_takes_the_first_with_it(
    obliq: Obliq, way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if target.suffix == ".onnx":
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    words = ("export", way.unlearned, "--out", tmp_path / "network.onnx", "--check", f"npz:{way.data}")
    refused(obliq(*words), "cannot write", "Operation not permitted")
    nothing_written(tmp_path)


def test_ctrl_c_in_the_middle(tmp_path: Path) -> None:
    process = start("demo", "--out", tmp_path / "out", "--threads", 1)
    assert process.stderr is not None
    assert "training the original" in process.stderr.readline()
    assert [file for file in tmp_path.iterdir() if file.name.startswith(".out-")]
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert out == ""
    assert "Traceback" not in err
    assert process.returncode == 130
    assert err.splitlines()[-1] == "obliq: interrupted; nothing half-written is left"
    nothing_written(tmp_path)
