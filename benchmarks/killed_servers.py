"""The server of a record and the process of its work, killed (SIGKILL) at random moments."""

import contextlib
import http.client
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from obliq.record.folder import Record
from obliq.record.verification import verify_record
from served_record import LONGEST_WAIT, Server, prepared, submit, worker_of


@dataclass
class Kills:
    """What came out of killing a process again and again.

    Attributes:
        kills: processes that were killed.
        acknowledged: requests that the server acknowledged before it was killed.
        wrong: what was not as it must be, by what it was.
    """

    kills: int = 0
    acknowledged: int = 0
    wrong: Counter[str] = field(default_factory=Counter)


def killed_servers(folder: Path, kills: int) -> Kills:
    """Kill the server while a program submits requests and an officer approves them."""
    record, people, token = prepared(folder, epochs=1)
    people = people[:-1]  # a request that leaves nobody is refused
    found, draw, acknowledged = Kills(), np.random.default_rng(0), set[str]()
    server = Server(record)
    for round_ in range(kills):
        server.start()
        until = draw.uniform(0, 1.5)
        child = os.fork()
        if child == 0:
            time.sleep(until)
            os.kill(server.process, signal.SIGKILL)
            os._exit(0)
        for number in range(1000):
            case = f"C-{round_}-{number}"
            try:
                status = submit(server, token, case, people[number % len(people)])
            except (OSError, http.client.HTTPException):
                break
            if status == 200:
                acknowledged.add(case)
            else:
                found.wrong[f"status {status}"] += 1
        os.waitpid(server.process, 0)
        os.waitpid(child, 0)
        found.kills += 1
        cases = Record(record).state().cases
        if not acknowledged <= set(cases):
            found.wrong["an acknowledged request is gone"] += 1
        if [one for one in verify_record(Record(record)).problems if "no case" not in one]:
            found.wrong["does not verify after the kill"] += 1
    found.acknowledged = len(acknowledged)
    server.start()
    if submit(server, token, next(iter(acknowledged)), people[0]) not in (200, 400):
        found.wrong["does not go on"] += 1
    server.kill()
    received = Counter(
        entry.event.case for entry in Record(record).entries() if entry.event.kind == "received"
    )
    if any(count > 1 for count in received.values()):
        found.wrong["a request was noted twice"] += 1
    return found


def killed_workers(folder: Path, kills: int) -> Kills:
    """Kill the process of the work, or the server and then it, at random moments; the button starts it again."""
    record, _, token = prepared(folder, epochs=200)
    samples = Record(record).partition(None).train.indices.tolist()
    found, draw = Kills(), np.random.default_rng(1)
    server = Server(record)
    server.start()
    number = 0
    for _ in range(kills):
        if not Record(record).state().is_due:
            if number == len(samples) - 2:
                break
            number += 1
            assert submit(server, token, f"C-{number}", samples[number], "ids") == 200
            assert server.log_in("officer").post("/case/approve", case=f"C-{number}") == 303
        engineer = server.log_in("engineer")
        if engineer.post("/work") != 303:
            found.wrong["the button does not start it"] += 1
            continue
        worker = started_worker(record)
        if not worker:  # 0 would name this very group of processes
            found.wrong["the work did not start, or ended at once"] += 1
            continue
        time.sleep(draw.uniform(0, 6))
        if draw.random() < 0.5:
            server.kill()
            server.start()
            engineer = server.log_in("engineer")
            if is_alive(worker) and not engineer.is_running():
                found.wrong["the next server does not know that it runs"] += 1
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
            found.kills += 1
        deadline = time.monotonic() + LONGEST_WAIT
        while engineer.is_running():
            if time.monotonic() > deadline:
                found.wrong["still said to run after the kill"] += 1
                break
            time.sleep(0.05)
    for _ in range(3):  # to the end, without kills
        if Record(record).state().is_due:
            engineer = server.log_in("engineer")
            engineer.post("/work")
            deadline = time.monotonic() + 5 * LONGEST_WAIT
            while engineer.is_running() and time.monotonic() < deadline:
                time.sleep(0.5)
    server.kill()
    state = Record(record).state()
    if state.is_due:
        found.wrong["does not come to its end"] += 1
    done = Counter(
        (entry.event.kind, entry.event.batch)
        for entry in Record(record).entries()
        if hasattr(entry.event, "batch")
    )
    if any(count > 1 for count in done.values()):
        found.wrong["a step was noted twice"] += 1
    if verify_record(Record(record)).problems:
        found.wrong["does not verify at the end"] += 1
    return found


def started_worker(record: Path) -> int:
    """The process that was started last, once it holds its lock; 0 where it has ended before."""
    deadline = time.monotonic() + LONGEST_WAIT
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError, IndexError):
            process = worker_of(record)
            if is_alive(process):
                return process
        time.sleep(0.02)
    return 0


def is_alive(process: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
