"""The log of a record in two forms, appended to by processes that are killed at random times."""

import contextlib
import hashlib
import os
import shutil
import signal
import sqlite3
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
from tests.record.events import DAY, WHOLE

from obliq.record.events import Confirmed
from obliq.record.log import read_log, writing

LONGEST = 0.4  # seconds until a process that appends is killed


class JsonLines:
    """The log as it is."""

    name = "JSON lines, fsync"

    def __init__(self, folder: Path) -> None:
        self.file = folder / "log.jsonl"
        with writing(self.file) as log:
            log.append(DAY, "A. Example", WHOLE[:-1])

    def append(self, number: int) -> None:
        """Append an entry; it is acknowledged when this returns."""
        with writing(self.file) as log:
            log.append(DAY, "fleet", [Confirmed(floor=1, devices=number)])

    def entries(self, file: Path) -> int:
        """How many entries of `append` a log holds, after it was checked."""
        return len(read_log(file)) - len(WHOLE) + 1


class Sqlite:
    """The same entries as rows of a table, whose triggers refuse to change or remove a row."""

    name = "SQLite, WAL, synchronous=FULL"

    def __init__(self, folder: Path) -> None:
        self.file = folder / "log.db"
        self._process = 0
        with contextlib.closing(self._open(self.file)) as log, log:
            log.execute("CREATE TABLE log (number INTEGER PRIMARY KEY, line TEXT, digest TEXT)")
            for change in ("UPDATE", "DELETE"):
                log.execute(
                    f"CREATE TRIGGER no_{change} BEFORE {change} ON log BEGIN SELECT RAISE(ABORT, 'append-only'); END"
                )

    def append(self, number: int) -> None:
        """Append an entry; it is acknowledged when this returns."""
        if self._process != os.getpid():  # a connection of its own, which stays open as in a server
            self._process, self._log = os.getpid(), self._open(self.file)
        with self._log as log:
            last = log.execute("SELECT digest FROM log ORDER BY number DESC LIMIT 1").fetchone()
            line = f"{last[0] if last else ''} {number}"
            digest = hashlib.sha256(line.encode()).hexdigest()
            log.execute("INSERT INTO log (line, digest) VALUES (?, ?)", (line, digest))

    def entries(self, file: Path) -> int:
        """How many entries of `append` a log holds, after it was checked."""
        with contextlib.closing(self._open(file)) as log:
            if log.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                raise ValueError("damaged")
            return int(log.execute("SELECT count(*) FROM log").fetchone()[0])

    @staticmethod
    def _open(file: Path) -> sqlite3.Connection:
        log = sqlite3.connect(file, timeout=30)
        log.execute("PRAGMA journal_mode=WAL")
        log.execute("PRAGMA synchronous=FULL")
        return log


@dataclass
class LogKills:
    """What came out of killing processes that append.

    Attributes:
        lost: acknowledged entries that are gone.
        unreadable: logs that could not be read or appended to afterwards.
        acknowledged: entries of all processes together.
        copied: of the acknowledged entries, those in a copy of the main file alone, taken while a process was writing.
        seconds: for an append, without other load.
    """

    lost: int = 0
    unreadable: int = 0
    acknowledged: int = 0
    copied: int = 0
    seconds: float = 0.0


def killed_while_appending(form: type[JsonLines | Sqlite], kills: int, folder: Path) -> LogKills:
    """Kill processes that append, each at a random time; go on with the same log."""
    found, generator = LogKills(), np.random.default_rng(0)
    folder.mkdir()
    log = form(folder)
    started = time.perf_counter()
    for number in range(50):
        log.append(number)
    found.seconds = (time.perf_counter() - started) / 50
    for round_ in range(kills):
        if round_ % 50 == 0:  # a short log, so that most of the time is spent in writing
            shutil.rmtree(folder)
            folder.mkdir()
            log = form(folder)
        before = log.entries(log.file)
        reading, pipe = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            with contextlib.suppress(BaseException):
                for number in range(10**6):
                    log.append(number)
                    os.write(pipe, b".")
            os._exit(1)
        os.close(pipe)
        time.sleep(generator.uniform(0, LONGEST))
        copy = folder.with_name("copy" + log.file.suffix)
        shutil.copyfile(log.file, copy)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(reading, "rb") as acknowledgements:
            acknowledged = len(acknowledgements.read())
        found.acknowledged += acknowledged
        with contextlib.suppress(Exception):
            found.copied += max(0, log.entries(copy) - before)
        copy.unlink()
        try:
            after = log.entries(log.file)
            found.lost += max(0, before + acknowledged - after)
            log.append(0)
            found.unreadable += log.entries(log.file) != after + 1
        except Exception:
            found.unreadable += 1
    return found
