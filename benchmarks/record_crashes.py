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
import platform
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from tests.cli.conftest import SHORT, pictures, trained_person  # noqa: E402
from tests.record.keys import private_key  # noqa: E402

from killed_logs import LONGEST, JsonLines, LogKills, Sqlite, killed_while_appending  # noqa: E402
from killed_verbs import VerbKills, killed_verb  # noqa: E402
from obliq.cli import main  # noqa: E402
from obliq.training import continuation  # noqa: E402

TABLE = HERE / "results" / "record_crashes.md"


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
    parser.add_argument("--out", type=Path, default=TABLE, help="where the table goes")
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
    given.out.write_text(table(logs, killed, given.kills, given.every))
    print(given.out.read_text())


if __name__ == "__main__":
    run()
