"""`obliq record run` in a process of its own, which goes on when the server ends, and whose progress anyone may read.

Whether it runs is known by a lock that the process holds, so that a server that was started later knows it, too. The
process writes its progress into a file next to the record, for the owner alone.
"""

import os
import re
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from obliq.errors import ObliqError, RecordError
from obliq.io.hidden_words import READ_WORDS, encoded_words, hidden_command
from obliq.io.regular_file import read_regular_file

_END = "obliq: ended"
PROGRAM = (
    "import json, os, sys; getattr(os, 'nice', int)(5); from obliq.cli import main; "
    f"code = {READ_WORDS}; print('{_END}', file=sys.stderr); sys.exit(code)"
)
"""Its last line is written only where it ended by itself, with or without an error."""
UNEXPECTED = (
    "it ended unexpectedly, for instance because it was killed; start it again: finished steps are kept"
)
LARGEST_OUTPUT = 16 * 2**20
_ERROR = "obliq: error: "
_STAGE = re.compile(r"(.+?) \.\.\.")
_STEP = re.compile(r"  (.+): (\d+) of (\d+), (.+)")


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """What the process does, or did at last.

    Attributes:
        running: whether it runs.
        stage: what it does, in words; empty before the first stage.
        step: steps of this stage that are done; None where they are not counted.
        of: steps of this stage.
        note: time so far and time left, in words.
        error: why the last one stopped; empty where it did not fail.
    """

    running: bool
    stage: str = ""
    step: int | None = None
    of: int | None = None
    note: str = ""
    error: str = ""


class BackgroundRun:
    """Starts the process, at most one at a time, and reads its progress.

    Args:
        folder: for the lock and the progress; it is created when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._output, self._lock_file = folder / "run.log", folder / ".run-lock"
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, words: Sequence[str]) -> None:
        """Start the process.

        Args:
            words: of the command, after `obliq`.

        Raises:
            RecordError: when one runs already, or none can be started.
        """
        with self._lock:
            try:
                self._output.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                lock = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o600)
                try:
                    if self._is_alive() or not _take(lock):
                        raise RecordError("the work is going on already; expected one run at a time")
                    self._process = self._started(words, lock)
                finally:
                    os.close(lock)
            except OSError as error:
                raise RecordError(f"the work cannot be started: {error.strerror or error}") from error

    def status(self) -> RunStatus:
        """What the process does, or did at last."""
        with self._lock:
            running = self._is_alive() or self._is_held()
        return status_from(self._lines(), running=running)

    def wait(self, seconds: float) -> None:
        """Wait until a process that this object started has ended, at most so long."""
        process = self._process
        if process is not None:
            process.wait(seconds)

    def _started(self, words: Sequence[str], lock: int) -> "subprocess.Popen[bytes]":
        output = os.open(self._output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        own: dict[str, Any] = (
            {"pass_fds": [lock], "start_new_session": True}
            if os.name == "posix"
            else {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
        )
        try:
            process = subprocess.Popen(
                hidden_command(PROGRAM),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=output,
                **own,
            )
        finally:
            os.close(output)
        assert process.stdin is not None
        with process.stdin as stdin:
            stdin.write(encoded_words(words))
        return process

    def _is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _is_held(self) -> bool:
        """Whether a process holds the lock that a server before this one started."""
        try:
            lock = os.open(self._lock_file, os.O_RDWR)
        except OSError:
            return False
        try:
            return not _take(lock)
        finally:
            os.close(lock)

    def _lines(self) -> list[str]:
        try:
            text = read_regular_file(self._output, LARGEST_OUTPUT)
        except ObliqError:  # nothing was started yet
            return [_END]
        return text.decode(errors="replace").splitlines()


def status_from(lines: Sequence[str], *, running: bool) -> RunStatus:
    """What the lines of progress state; the last stage counts."""
    stage, note, error = "", "", "" if _END in lines[-1:] else UNEXPECTED
    step: int | None = None
    of: int | None = None
    for line in lines:
        if line.startswith(_ERROR):
            error = line.removeprefix(_ERROR)
        elif found := _STEP.fullmatch(line):
            step, of, note = int(found[2]), int(found[3]), found[4]
        elif found := _STAGE.fullmatch(line):
            stage, step, of, note = found[1], None, None, ""
    return RunStatus(
        running=running, stage=stage, step=step, of=of, note=note, error="" if running else error
    )


def _take(lock: int) -> bool:
    """Take a lock that ends with the last process that holds the open file; always where there are none."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
