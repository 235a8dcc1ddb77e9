"""A child that reads files of others may crash, hang, lie or be killed: the parent goes on with one line."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from obliq.data.image_folder import from_folder
from obliq.data.npz_file import from_npz
from obliq.errors import DataError, ObliqError
from obliq.io.budget import Budget
from obliq.io.isolated import child
from obliq.io.isolated.child import Child, isolated_reader
from obliq.io.isolated.frames import receive_into
from obliq.io.isolated.reader import ReadArrays, ReaderFailedError, Task, described_arrays
from obliq.io.user_code import TerminatedBySignal, terminate

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limits and /proc are those of Linux")

REPLACED = """
import json, os, resource, sys, time
sys.path += sys.argv[2:]
from obliq.errors import DataError
from obliq.io.isolated import pictures, worker
from obliq.io.isolated.job import Found, RawArray
decoded = pictures._upright
def act(name, content=b""):
    if name == "crash":
        os.kill(os.getpid(), 11)
    elif name == "memory":
        bytearray(2**32)
    elif name == "time":
        while True:
            pass
    elif name == "sleep":
        time.sleep(60)
    elif name == "library":
        raise AttributeError("a\\x1b[31m line")
    elif name == "exit":
        os._exit(3)
    elif name == "long":
        raise DataError("a\\nb" * 5000)
def upright(arguments, file, content, budget):
    if content.startswith(b"act "):
        act(content[4:].decode())
    return decoded(arguments, file, content, budget)
pictures._upright = upright
def read_entries(given):
    act(given.arguments["act"])
    return Found(facts={
        "pid": os.getpid(),
        "files": sorted(map(int, os.listdir("/proc/self/fd"))),
        "names": sorted(os.environ),
        "limits": [resource.getrlimit(getattr(resource, "RLIMIT_" + one))[0] for one in ("CPU", "FSIZE", "CORE")],
        "memory": resource.getrlimit(resource.RLIMIT_AS)[1],
    })
from obliq.io.isolated import npz
npz.read_entries = read_entries
worker.run_jobs(sys.argv[1])
"""
"""A child whose readers do what a hostile file would make them do."""


def task(name: str) -> Task:
    return Task("entries of npz", {"act": name}, Budget(10, DataError), most=10)


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_CODE", REPLACED)
    monkeypatch.setattr("obliq.data.image_folder.isolated_reader", isolated_reader)


@pytest.fixture
def act(hostile: None) -> Iterator[Callable[[str], dict[str, object]]]:
    """Let a child with few limits act."""
    with isolated_reader(["entries of npz", "pictures"], memory=2**29, seconds=1) as reader:
        yield (lambda name: reader.read(task(name)).facts)


def pictures(folder: Path, contents: dict[str, bytes]) -> Path:
    for label in "ab":
        (folder / label).mkdir(parents=True)
        Image.fromarray(np.full((4, 5), 7, np.uint8)).save(folder / label / "0.png")
    for name, content in contents.items():
        (folder / "b" / name).write_bytes(content)
    return folder


def gone(pid: int) -> bool:
    """Whether a process has ended, within a second."""
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists() or ") Z " in Path(f"/proc/{pid}/stat").read_text():
            return True
        time.sleep(0.01)
    return False


def test_the_picture_that_crashes_its_decoder_is_named(hostile: None, tmp_path: Path) -> None:
    folder = pictures(tmp_path, {"1.png": b"act crash", "2.png": b"no picture"})
    with pytest.raises(DataError) as raised:
        from_folder("folder:x", folder)
    assert str(raised.value) == (
        f"folder:x: {folder}/b/1.png: the process that reads it ended with SIGSEGV; expected a file that its reader "
        "survives. It may be damaged or hostile: write it again with the tool that made it, or remove it"
    )


def test_what_ended_a_child_is_never_read_in_this_process(
    act: Callable[[str], dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ReaderFailedError, match="SIGSEGV"):
        act("crash")
    monkeypatch.setattr(socket, "socketpair", lambda: (_ for _ in ()).throw(OSError(24, "too many files")))
    with pytest.raises(ReaderFailedError, match=r"no other one could be started \(.*too many files\)"):
        act("crash")


def test_whatever_a_reader_does_becomes_one_line(
    act: Callable[[str], dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "_TICK", 0.1)
    for name, said in {
        "exit": "ended with status 3; expected a file that its reader survives",
        "time": "ended with 1 s of the processor, its limit; expected",
        "memory": r"^cannot be read \(MemoryError\); expected a sound file",
        "library": r"^cannot be read \(AttributeError a\\x1b\[31m line\); expected",
        "long": r"^a\\nba",
    }.items():
        with pytest.raises(ObliqError, match=said) as raised:
            act(name)
        assert str(raised.value).isprintable()
        assert len(str(raised.value)) < 10_000
    monkeypatch.setattr(child, "SILENCE", 1)
    with pytest.raises(ReaderFailedError, match="did not answer for 1 s and was ended"):
        act("sleep")
    assert act("nothing")["pid"] != os.getpid()


def test_a_child_is_given_nothing_but_what_it_needs(
    act: Callable[[str], dict[str, object]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SECRET", "1")
    with (tmp_path / "open").open("w") as opened:
        os.set_inheritable(opened.fileno(), True)
        facts = act("nothing")
    assert len(facts["files"]) == 5, "three standard streams, the socket, and the list itself"
    assert "SECRET" not in facts["names"]
    assert facts["limits"] == [1, 0, 0]
    assert facts["memory"] < 2**31


def test_a_signal_to_the_parent_ends_the_child(hostile: None, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGALRM, terminate)
    reader = Child(["entries of npz"], memory=2**29, seconds=9)
    try:
        pid = reader.read(task("nothing")).facts["pid"]
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(TerminatedBySignal):
            reader.read(task("sleep"))
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not Path(f"/proc/{pid}").exists()


def test_a_killed_parent_leaves_no_child() -> None:
    code = f"""
import signal
from obliq.errors import DataError
from obliq.io.budget import Budget
from obliq.io.isolated import child
from obliq.io.isolated.frames import receive_into
from obliq.io.isolated.reader import Task
child._CODE = {REPLACED!r}
signal.signal(signal.SIGIO, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO, signal.SIGALRM])
reader = child.Child(["entries of npz"], memory=2**29, seconds=9)
for act in ("nothing", "sleep"):
    task = Task("entries of npz", {{"act": act}}, Budget(10, DataError), 10)
    print(reader.read(task).facts["pid"], flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        time.sleep(0.1)  # until it sleeps
        parent.kill()
    assert gone(pid)


@pytest.mark.parametrize(
    "arrays",
    [
        None,
        [["|u1", [2**40]]],
        [["<U0", [2**40]]],
        [["|u1", [6]], ["|u1", [5]]],
        [["|O8", [1]]],
        [["<f16", [1]]],
        [["|u1", [-1]]],
        [["|u1", [1.0]]],
        [["|u1", [True]]],
        [["|u1", [1] * 33]],
        [["|u1"]],
        ["|u1"],
    ],
)
def test_what_no_reader_answers_is_refused(arrays: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        described_arrays(arrays, 10)


class Trickle(socket.socket):
    """The other side sends one byte at a time."""

    def recv_into(self, *_: object) -> int:
        return 1


def test_a_child_that_answers_byte_by_byte_is_refused() -> None:
    with Trickle() as source, pytest.raises(ValueError, match="a few bytes at a time"):
        receive_into(source, memoryview(bytearray(10_000)), lambda: None)


def test_arrays_of_other_shapes_are_refused() -> None:
    found = ReadArrays([np.zeros((2, 3), np.uint8), np.zeros(4, np.uint8)], {})
    assert found.of_shapes((None, 3), None) is found.arrays
    other = ReadArrays([np.zeros((2, 3))], {})
    assert other.of_shapes(None, kind=None) is other.arrays
    with pytest.raises(ReaderFailedError, match=r"answered with \['<f8 \(2, 3\)'\]; expected \|u1"):
        other.of_shapes((2, 3))
    for shapes in ((None,), ((2, 4), None), ((2, 3), (None, 4)), ()):
        with pytest.raises(ReaderFailedError, match=r"expected .* The file may be hostile: remove it"):
            found.of_shapes(*shapes)


def test_many_pictures_take_one_child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[object] = []
    start = Child._start
    monkeypatch.setattr(Child, "_start", lambda self: (started.append(self), start(self)))
    monkeypatch.setattr("obliq.data.image_folder.isolated_reader", isolated_reader)
    whole = pictures(tmp_path, {}) / "a" / "0.png"
    for number in range(1, 600):
        (tmp_path / "a" / f"{number}.png").write_bytes(whole.read_bytes())
    found = from_folder("folder:x", tmp_path)
    assert len(started) == 1
    assert len(found.inputs) == 601
    assert bool((found.inputs == 7).all())


def test_without_a_child_the_same_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    np.savez_compressed(file, x=np.arange(48.0).reshape(6, 2, 4), y=np.array(["a", "b", "a"] * 2))
    whole = from_npz("npz:a", file)
    monkeypatch.setattr("obliq.data.npz_file.isolated_reader", isolated_reader)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.warns(RuntimeWarning, match="no child process could be started"):
        here = from_npz("npz:a", file)
    monkeypatch.setattr(child, "can_isolate", lambda: False)
    for one in (here, from_npz("npz:a", file)):
        assert one.inputs.equal(whole.inputs)
        assert one.labels.equal(whole.labels)
        assert one.class_names == whole.class_names
