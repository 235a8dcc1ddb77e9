"""The parent's side: start a child, send it what it reads, check what it answers, and end it."""

import contextlib
import functools
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np

from obliq.errors import ObliqError
from obliq.io.isolated.frames import receive_head, receive_into, send
from obliq.io.isolated.reader import (
    InThisProcess,
    ReadArrays,
    Reader,
    ReaderFailedError,
    Task,
    described_arrays,
)
from obliq.io.isolated.worker import ERRORS, LONGEST_ERROR
from obliq.io.visible_text import reason_of, visible_line

SILENCE = 300
"""Seconds without a byte from a child after which it is ended."""

START = 120
"""Seconds in which a child must have started."""

_SLOWEST_DISK = 2**20  # bytes a second
_TICK = 1  # seconds after which waiting is counted

_PACKAGES = ("obliq", "numpy", "PIL")

_CODE = "import sys; sys.path += sys.argv[2:]; from obliq.io.isolated.worker import run_jobs; run_jobs(sys.argv[1])"

_KEPT = ("LD_", "DYLD_", "LC_")
"""Beginnings of the variables that a child is given: how libraries and text are found. Others may hold secrets."""


@contextlib.contextmanager
def isolated_reader(jobs: Sequence[str], *, memory: int, seconds: int) -> Iterator[Reader]:
    """Something to read files of others with: a child process that starts with the first job and ends with the block.

    Systems without the limits of POSIX, and processes that cannot start another Python, read in this process.

    Args:
        jobs: that will come.
        memory: bytes that the child may take beyond its start.
        seconds: of the processor that it may take.
    """
    reader: Reader = Child(jobs, memory=memory, seconds=seconds) if can_isolate() else InThisProcess()
    try:
        yield reader
    finally:
        reader.end()


def can_isolate() -> bool:
    """Whether this system has limits for processes, hands on open files, and has a Python to start."""
    posix = importlib.util.find_spec("resource") is not None and hasattr(socket, "recv_fds")
    return posix and bool(sys.executable) and not getattr(sys, "frozen", False)


@final
class Child:
    """A child process, which starts with the first job."""

    def __init__(self, jobs: Sequence[str], *, memory: int, seconds: int) -> None:
        self._jobs, self._memory, self._seconds = jobs, memory, seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._instead: InThisProcess | None = None
        self._busy = self._has_started = False

    def read(self, task: Task) -> ReadArrays:
        """See `Reader.read`."""
        return self.begin(task)()

    def begin(self, task: Task) -> Callable[[], ReadArrays]:
        """See `Reader.begin`."""
        if self._busy:  # with a job whose answer nobody waited for
            self.end()
        if self._socket is None and self._instead is None:
            self._start()
        if self._instead is not None or self._socket is None:
            return InThisProcess().begin(task)
        budget, opened = task.budget, task.opened
        head = {
            "job": task.job,
            "arguments": task.arguments,
            "budget": [budget.size, budget.error.__name__, budget.memory, budget.work],
            "sizes": [len(content) for content in task.contents],
        }
        wait = _Patience(SILENCE + budget.size // _SLOWEST_DISK)
        with self._failures():
            self._busy = True
            with contextlib.suppress(ConnectionError):  # what it answered before it ended is read
                send(self._socket, head, task.contents, wait, None if opened is None else opened.fileno())
        return functools.partial(self._finish, task, self._socket, wait)

    def _finish(self, task: Task, source: socket.socket, wait: "_Patience") -> ReadArrays:
        with self._failures():
            head, _ = receive_head(source, wait)
            found = self._answer(head, source, task, wait)
            self._busy = False
            return found

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        """Whatever goes wrong with the child as an error, after the child was ended."""
        try:
            yield
        except (EOFError, OSError) as error:
            raise ReaderFailedError(self._end_of(error)) from None
        except MemoryError:
            self.end()
            raise ReaderFailedError("what it holds takes more memory than there is; expected less") from None
        except ValueError as error:
            self.end()
            raise ReaderFailedError(
                f"the process that reads it answered with {reason_of(error)}; expected numbers. The file may be "
                "hostile: remove it"
            ) from None
        except ObliqError:  # a whole answer
            self._busy = False
            raise
        except BaseException:
            self.end()
            raise

    @staticmethod
    def _answer(head: dict[str, Any], source: socket.socket, task: Task, wait: "_Patience") -> ReadArrays:
        if "broken" in head:
            raise ReaderFailedError(
                f"cannot be read ({visible_line(str(head['broken']))[:200]}); expected a sound file"
            )
        kinds, counted, budget = (
            described_arrays(head.get("arrays"), task.most),
            head.get("budget"),
            task.budget,
        )
        if not (isinstance(counted, list) and len(counted) == 2 and all(type(one) is int for one in counted)):
            raise ValueError(f"a budget of {str(counted)[:40]}")
        budget.memory, budget.work = max(budget.memory, counted[0]), max(budget.work, counted[1])
        match head.get("error"):
            case None:
                pass
            case [str(name), str(text)] if name in ERRORS:
                raise ERRORS[name](visible_line(text[:LONGEST_ERROR]))
            case _:
                raise ValueError("an unknown error")
        facts = head.get("facts")
        if not isinstance(facts, dict):
            raise ValueError("no facts")
        data = bytearray(sum(size for _, _, size in kinds))
        receive_into(source, memoryview(data), wait)
        arrays, start = [], 0
        for kind, shape, size in kinds:
            if kind[1] == "U" and size:
                letters = np.frombuffer(data, f"{kind[0]}u4", size // 4, start)
                if letters.max() > sys.maxunicode:
                    raise ValueError("text that is none")
            arrays.append(np.ndarray(shape, kind, data, start))
            start += size
        return ReadArrays(arrays, facts)

    def _start(self) -> None:
        ours: socket.socket | None = None
        limits = {"jobs": list(self._jobs), "memory": self._memory, "seconds": self._seconds}
        try:
            ours, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", _CODE, json.dumps(limits), *_places()],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    env=_environment(),
                )
            ours.settimeout(_TICK)
            ready, _ = receive_head(ours, _Patience(START))
            if ready != {"ready": True}:
                raise ValueError("another greeting")
            self._socket, self._has_started = ours, True
        except (OSError, EOFError, ValueError) as error:
            self._give_up(ours)
            if self._has_started:  # a file may have ended the one before, and must not reach this process
                raise ReaderFailedError(
                    f"the process that reads it ended, and no other one could be started ({reason_of(error)}); "
                    "expected room for another process. Try again"
                ) from None
            self._instead = InThisProcess()
            warnings.warn(
                f"no child process could be started to read files of others in ({reason_of(error)}); they are read in "
                "this process, without its limits",
                RuntimeWarning,
                stacklevel=5,
            )
        except BaseException:
            self._give_up(ours)
            raise

    def _give_up(self, ours: socket.socket | None) -> None:
        if ours is not None:
            ours.close()
        self.end()

    def _end_of(self, error: BaseException) -> str:
        """How the child ended, for an error that names the file."""
        if isinstance(error, TimeoutError):
            self.end()
            how = f"did not answer for {SILENCE} s and was ended"
        else:
            how = f"ended with {self._status()}"
        return (
            f"the process that reads it {how}; expected a file that its reader survives. It may be damaged or hostile: "
            "write it again with the tool that made it, or remove it"
        )

    def _status(self) -> str:
        process = self._process
        if process is None:
            return "no status"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        status = process.returncode
        self.end()
        if status is None or status >= 0:
            return f"status {status}"
        if status == -signal.SIGXCPU:
            return f"{self._seconds} s of the processor, its limit"
        if status == -signal.SIGKILL:
            return "SIGKILL, as where memory runs out"
        try:
            return signal.Signals(-status).name
        except ValueError:
            return f"signal {-status}"

    def end(self) -> None:
        """End the child at once, if there is one. The next job starts another."""
        self._busy = False
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class _Patience:
    """Counts seconds in which nothing moved. A clock would count those in which both processes were stopped."""

    def __init__(self, seconds: int) -> None:
        self._left = seconds

    def __call__(self) -> None:
        self._left -= 1
        if self._left <= 0:
            raise TimeoutError


def _places() -> list[str]:
    """The folders in which the packages lie that a child imports, and no other of the user's."""
    places: list[str] = []
    for name in _PACKAGES:
        found = importlib.util.find_spec(name)
        for folder in (found.submodule_search_locations or ()) if found else ():
            place = str(Path(folder).absolute().parent)
            if place not in places:
                places.append(place)
    return places


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name.startswith(_KEPT) or name == "LANG"}
    return kept | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
