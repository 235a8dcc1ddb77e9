"""Kill a process at one of its steps on the disk: before it opens, renames, removes, synchronises or creates a file."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

STEPS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree"}
"""Events of Python's audit hooks that are counted; `os.fsync` has none, so it is wrapped."""


class DiskSteps:
    """Counts the steps of this process below some folders, and kills it at one of them.

    Attributes:
        count: steps so far.
    """

    def __init__(self, *folders: Path, kill_at: int | None = None) -> None:
        self.count = 0
        self._folders = tuple(str(folder.resolve()) for folder in folders)
        self._kill_at = kill_at

    def watch(self) -> None:
        """Begin; an audit hook cannot be taken back, so this is for a process that ends soon."""
        sys.addaudithook(self._hear)
        fsync = os.fsync

        def watched(descriptor: int) -> None:
            path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
            self._step(path)
            fsync(descriptor)
            self._step(path)

        os.fsync = watched

    def _hear(self, event: str, given: tuple[object, ...]) -> None:
        if event not in STEPS or not given or isinstance(given[0], int):
            return
        if event == "open" and not (isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        self._step(os.path.abspath(os.fspath(given[0])))  # type: ignore[arg-type]  # noqa: PTH100

    def _step(self, path: str) -> None:
        if not path.startswith(self._folders):
            return
        self.count += 1
        if self.count == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def in_a_child(action: Callable[[], object], steps: DiskSteps) -> tuple[int, int]:
    """Do something in a copy of this process; its exit status (negative for a signal), and the steps that it took."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        status = 70
        try:
            os.close(reading)
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 1)
            os.dup2(nothing, 2)
            steps.watch()
            action()
            os.write(writing, str(steps.count).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as counted:
        text = counted.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), int(text or 0)
