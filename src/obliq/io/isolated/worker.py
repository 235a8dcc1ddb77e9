"""The child's side: limit yourself, then read what is sent until nobody asks any more."""

import contextlib
import importlib
import itertools
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from obliq.errors import DataError, ObliqError
from obliq.io.budget import Budget
from obliq.io.isolated.frames import receive_head, receive_into, send
from obliq.io.isolated.job import Found, Given, Job

JOBS: Final = {
    "pictures": "obliq.io.isolated.pictures:read_pictures",
    "rows of pictures": "obliq.io.isolated.pictures:read_picture_rows",
    "entries of npz": "obliq.io.isolated.npz:read_entries",
    "array of npz": "obliq.io.isolated.npz:read_array",
    "pickled batch": "obliq.io.isolated.pickled_arrays:read_batch",
    "pickled recordings": "obliq.io.isolated.recordings:read_recordings",
}
"""The functions that a child may be told to run, by what they read."""

ERRORS: Final = {kind.__name__: kind for kind in (DataError, ObliqError)}
"""The errors that may be answered, by name."""

LONGEST_ERROR = 4000
"""Letters of an error."""

IDLE = 3600
"""Seconds without a job after which a child ends, should its parent hang."""


def job_called(name: str) -> Job:
    """The function of one job; its module is imported."""
    module, _, function = JOBS[name].partition(":")
    found: Job = getattr(importlib.import_module(module), function)
    return found


def run_jobs(given: str) -> None:
    """Run jobs that come through the socket in place of the standard input.

    Args:
        given: JSON with `jobs` (names of the jobs that will come), `memory` (bytes beyond the start) and `seconds`
            (of the processor).
    """
    _end_on_signals()
    limits = json.loads(given)
    for name in limits["jobs"]:
        job_called(name)
    parent = socket.socket(fileno=os.dup(0))
    _limit(limits["memory"], limits["seconds"])
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionError):  # the parent is gone
        send(parent, {"ready": True}, (), _never)
        while True:
            signal.alarm(IDLE)
            _answer_one(parent)


def _end_on_signals() -> None:
    """Let every signal that ends a process do so, whatever the parent ignores or blocks.

    Ctrl-C reaches parent and child, and the child ends without a word.
    """
    for number in (
        signal.SIGINT,
        signal.SIGIO,
        signal.SIGALRM,
        signal.SIGXCPU,
        signal.SIGTERM,
        signal.SIGHUP,
    ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _never() -> None:
    """The child waits for its parent without end: it ends with it."""


def _limit(memory: int, seconds: int) -> None:
    import resource

    used = 0
    with contextlib.suppress(OSError, ValueError, IndexError):  # elsewhere than on Linux
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    limits = {"AS": used + memory, "CPU": seconds, "FSIZE": 0, "CORE": 0, "NPROC": 0}
    for name, most in limits.items():
        number = getattr(resource, f"RLIMIT_{name}", None)
        if number is not None:
            with contextlib.suppress(OSError, ValueError):  # macOS refuses some
                hard = resource.getrlimit(number)[1]
                most = most if hard == resource.RLIM_INFINITY else min(most, hard)
                # at the first limit of time comes a signal of its own, a second later one that cannot be ignored
                resource.setrlimit(number, (most, most + 1 if name == "CPU" and most != hard else most))


@contextlib.contextmanager
def _ending_with(parent: socket.socket) -> Iterator[None]:
    """Let the system end this process when its parent does, even while a library works.

    A parent that waits for an answer sends nothing. So the only event on the socket is that nobody holds its other end
    any more, for which the system sends a signal that ends a process.
    """
    import fcntl

    flags = fcntl.fcntl(parent, fcntl.F_GETFL)
    fcntl.fcntl(parent, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(parent, fcntl.F_SETFL, flags | os.O_ASYNC)
    try:
        yield
    finally:
        fcntl.fcntl(parent, fcntl.F_SETFL, flags)


def _answer_one(parent: socket.socket) -> None:
    head, file = receive_head(parent, _never)
    signal.alarm(0)  # a job has limits of its own
    with os.fdopen(file, "rb") if file is not None else contextlib.nullcontext() as opened:
        whole = memoryview(bytearray(sum(head["sizes"])))
        receive_into(parent, whole, _never)
        ends = list(itertools.accumulate(head["sizes"]))
        contents = [bytes(whole[end - size : end]) for end, size in zip(ends, head["sizes"], strict=True)]
        whole.release()
        size, error, memory, work = head["budget"]
        budget = Budget(size, ERRORS[error], memory, work)
        answer: dict[str, Any] = {}
        found = Found()
        try:
            with _ending_with(parent):
                work_on = Given(head["arguments"], budget, contents, opened)
                found = job_called(head["job"])(work_on)
        except ObliqError as refused:
            kind = type(refused).__name__
            answer["error"] = [kind if kind in ERRORS else "ObliqError", str(refused)[:LONGEST_ERROR]]
        except Exception as error:  # of a library, which raised what it should not
            answer["broken"] = f"{type(error).__name__} {error}".strip()[:LONGEST_ERROR]
        answer |= {
            "facts": found.facts,
            "arrays": [[array.kind, array.shape] for array in found.arrays],
            "budget": [budget.memory, budget.work],
        }
        send(parent, answer, [array.data for array in found.arrays], _never)
