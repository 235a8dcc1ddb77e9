"""What a killed process leaves of a record: the log in two forms, and every verb killed at every step on the disk.

    python benchmarks/record_crashes.py [--kills 300] [--every 1]

First, the choice of the log: a process appends entries to a file of JSON lines, or to an SQLite database in WAL mode
with synchronous=FULL, and is killed at a random time. What it acknowledged must be there. Then each verb of
`obliq record` runs on a small record and is killed before a step on the disk, at every step in turn
(`tests/record/kills.py`). Afterwards the record must verify, and the same command must end as if nothing had happened:
the same network, every event once, no step computed twice, and nothing left over. Needs Linux.
"""

import argparse
import contextlib
import hashlib
import os
import platform
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from tests.cli.conftest import SHORT, pictures, trained_person  # noqa: E402
from tests.record.events import DAY, WHOLE  # noqa: E402
from tests.record.keys import private_key  # noqa: E402
from tests.record.kills import DiskSteps, in_a_child  # noqa: E402

from obliq.cli import main  # noqa: E402
from obliq.record.events import Confirmed  # noqa: E402
from obliq.record.folder import Record  # noqa: E402
from obliq.record.log import read_log, writing  # noqa: E402
from obliq.record.verification import verify_record  # noqa: E402
from obliq.training import continuation  # noqa: E402

TABLE = HERE / "results" / "record_crashes.md"
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


@dataclass
class VerbKills:
    """What came out of killing a verb at its steps.

    Attributes:
        steps: of one whole run.
        kills: processes that were killed.
        wrong: what was not as it must be, by what it was.
    """

    steps: int = 0
    kills: int = 0
    wrong: Counter[str] = field(default_factory=Counter)


def events_of(record: Record) -> list[str]:
    """Every event without what two runs may differ in."""
    found = []
    for entry in record.entries():
        values = dict(vars(entry.event))
        for name in (
            "request",
            "digest",
            "encrypted",
            "splits",
            "withheld",
            "audit",
            "patches",
            "certificates",
        ):
            values.pop(name, None)
        found.append(f"{entry.event.kind} {sorted(values.items(), key=str)}")
    return found


def left_over(folder: Path) -> list[str]:
    """Drafts, and keys and requests that belong to no case."""
    return [
        path.name for path in folder.rglob(".*") if path.name not in (".lock", ".lock-holder", ".log-lock")
    ]


def finished(record: Record) -> dict[str, int]:
    """The file system's number of every result of a finished step, which changes when it is computed again."""
    done = {entry.event.kind for entry in record.entries()}
    names = {"unlearned": "unlearned", "exported": "exported", "audited": "audit", "patched": "patches"}
    names["certified"] = "certificates"
    folders = [record.batch(1) / name for kind, name in names.items() if kind in done]
    retrained = [entry.event.number for entry in record.entries() if entry.event.kind == "retrained"]
    folders += [record.batch(1) / f"retrained-{number}" for number in retrained]
    return {folder.name: folder.stat().st_ino for folder in folders}


def killed_verb(start: Path, folder: Path, words: list[str], every: int) -> VerbKills:
    """Kill one verb at its steps, and run it again each time.

    Args:
        start: folder with a record and its keys to begin with.
        folder: where copies of it are worked on.
        words: of the verb, with RECORD in the place of the record.
        every: kill at every so many-th step.
    """
    found = VerbKills()

    def begin() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(start, folder)

    def act() -> None:
        typed = ["record", words[0], str(folder / "record"), *words[1:], "-q"]
        if main(typed) != 0:
            raise RuntimeError(f"{typed} failed")

    begin()
    status, found.steps = in_a_child(act, DiskSteps(folder))
    assert status == 0, words
    expected = events_of(Record(folder / "record"))
    for step in range(1, found.steps + 1, every):
        begin()
        status, _ = in_a_child(act, DiskSteps(folder, kill_at=step))
        if status != -signal.SIGKILL:
            found.wrong["not killed"] += 1
            continue
        found.kills += 1
        record = Record(folder / "record")
        allowed = ("still exists", "is missing, so that the request")
        if [one for one in verify_record(record).problems if not any(part in one for part in allowed)]:
            found.wrong["does not verify after the kill"] += 1
        before = finished(record)
        status, _ = in_a_child(act, DiskSteps(folder))
        if status != 0:
            found.wrong["does not go on"] += 1
            continue
        if events_of(record) != expected:
            found.wrong["other events than without the kill"] += 1
        if verify_record(record).problems:
            found.wrong["does not verify at the end"] += 1
        if any(finished(record)[name] != number for name, number in before.items()):
            found.wrong["a finished step was computed again"] += 1
        if left_over(folder):
            found.wrong["something is left over"] += 1
    return found


def prepared(folder: Path) -> int:
    """A small original; somebody whom it was trained on."""
    np.savez(folder / "people.npz", **pictures())  # type: ignore[arg-type]
    words = ["train", f"npz:{folder / 'people.npz'}", "--out", str(folder / "original"), *SHORT, "-q"]
    with contextlib.redirect_stdout(None):
        assert main(words) == 0
    return trained_person(folder / "original", folder / "people.npz")


def verbs(folder: Path, every: int) -> dict[str, VerbKills]:
    """Every verb that writes, killed at its steps."""
    person = prepared(folder)
    rules = [
        "--approvals",
        "1",
        "--devices",
        "2",
        "--references",
        "2",
        "--method",
        "oeu",
        "--settings",
        "epochs=1",
        "--certificate-key",
        str(private_key(folder / "private.pem", 1)),
    ]
    start = folder / "start"
    order = {
        "add": ["add", "C-1", "--forget", f"subject={person}", "--by", "A"],
        "approve": ["approve", "C-1", "--by", "B"],
        "run": ["run", "--by", "C", "--threads", "1"],
        "confirm": ["confirm", "--floor", "1", "--devices", "2", "--by", "fleet"],
        "close": ["close", "C-1", "--by", "A"],
    }
    found = {}
    with contextlib.redirect_stdout(None):
        assert (
            main(
                [
                    "record",
                    "init",
                    str(folder / "original"),
                    "--out",
                    str(start / "record"),
                    "--by",
                    "A",
                    *rules,
                ]
            )
            == 0
        )
        for name, words in order.items():
            warm = shutil.copytree(start, folder / "warm")  # imports everything before processes are copied
            assert main(["record", words[0], str(warm / "record"), *words[1:], "-q"]) == 0
            shutil.rmtree(warm)
            found[name] = killed_verb(start, folder / "work", words, every if name == "run" else 1)
            assert main(["record", words[0], str(start / "record"), *words[1:], "-q"]) == 0
            print(name, found[name], file=sys.stderr, flush=True)
    return found


def table(logs: dict[str, LogKills], killed: dict[str, VerbKills], kills: int, every: int) -> str:
    """The results as a page."""
    every_step = "every step" if every == 1 else f"every step (`run`: every {every}th step)"
    lines = [
        "# Killed processes and the record",
        "",
        "Made by `benchmarks/record_crashes.py`. Processes are killed with SIGKILL. Loss of power is not modelled.",
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}.",
        "",
        "## Two forms of the log",
        "",
        f"{kills} processes append entries, and each is killed at a random time up to {1000 * LONGEST:.0f} ms.",
        "*In a copy* counts the acknowledged entries that a copy of the main file alone holds, taken while the",
        "process was writing. For each entry the log is read and checked as a whole, and the database is not; the",
        "folder may lie in memory, where synchronising costs nothing.",
        "",
        "| form | acknowledged | lost | unreadable logs | in a copy | ms an entry |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {name} | {one.acknowledged:,} | {one.lost} | {one.unreadable} | {one.copied:,} | "
            f"{1000 * one.seconds:.1f} |"
            for name, one in logs.items()
        ),
        "",
        "Both keep what they acknowledged. The log is JSON lines: a copy by any tool is a valid log up to some entry,",
        "while a copy of a database without its second file lacks entries; and people can read it without a program.",
        "",
        "## Verbs",
        "",
        f"Each verb is killed before {every_step} on the disk in turn: opening",
        "a file for writing, synchronising, renaming, removing, creating a folder. Then the record must verify, and",
        "the same command must end as without the kill: the same events with the same networks, no finished step",
        "computed again, nothing left over.",
        "",
        "| verb | steps | kills | wrong |",
        "| --- | ---: | ---: | --- |",
        *(
            f"| {name} | {one.steps} | {one.kills} | "
            f"{', '.join(f'{what}: {count}' for what, count in one.wrong.items()) or '0'} |"
            for name, one in killed.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def run() -> None:
    """Run everything and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--every", type=int, default=1, help="kill `run` at every so many-th step")
    given = parser.parse_args()
    torch.set_num_threads(1)
    continuation.SECONDS_BETWEEN = 0.0  # the state of a training is written after every epoch
    with tempfile.TemporaryDirectory() as folder:
        forms: list[type[JsonLines | Sqlite]] = [JsonLines, Sqlite]
        logs = {
            form.name: killed_while_appending(form, given.kills, Path(folder) / form.__name__)
            for form in forms
        }
        print(logs, file=sys.stderr, flush=True)
        killed = verbs(Path(folder), given.every)
    TABLE.write_text(table(logs, killed, given.kills, given.every))
    print(TABLE.read_text())


if __name__ == "__main__":
    run()
