"""A verb of `obliq record` that is killed at its steps on the disk, and run again each time."""

import shutil
import signal
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.record.kills import DiskSteps, in_a_child

from obliq.cli import main
from obliq.record.folder import Record
from obliq.record.verification import verify_record


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
