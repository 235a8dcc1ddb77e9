"""Files altered at random, in every format that comes from outside: accepted, or refused in one line; nothing else.

    python benchmarks/mutations.py [--mutations 10000] [--only TEXT] [--start NUMBER]

The alterations are `tests/hostile/formats.py`: of bytes, and of the structure that bytes alone would not survive. Each
file is read in a child process by the reader that the verbs use, which starts no further child here. Memory and time of
each are watched. A file is drawn from its format and number alone, so `--only FORMAT --start NUMBER --mutations 1`
repeats a finding. Needs Linux.
"""

import argparse
import json
import os
import platform
import re
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from obliq.io.isolated import child as isolated

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from tests.hostile.formats import Format, choices, formats, outcome_of  # noqa: E402 - the folder of tests is no package of its own

TABLE = HERE / "results" / "mutations.md"
MOST_MEMORY, MOST_SECONDS = 512.0, 5.0
"""MiB and seconds beyond which a file is a finding."""

LONGEST = 20
"""Seconds of the processor after which a child is ended."""

ROOM = 9 * 2**30
"""Bytes of memory that a child may have."""

BATCH = 1000
"""Files that one child reads."""


@dataclass
class Found:
    """What came out of one format.

    Attributes:
        outcomes: how many files ended in which way.
        seconds: the most that a file took.
        memory: MiB, the same.
        findings: number of a file, and what went wrong.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    memory: float = 0.0
    findings: list[tuple[int, str]] = field(default_factory=list)

    def add(self, number: int, outcome: str, seconds: float, memory: float) -> None:
        """Count one file."""
        self.seconds, self.memory = max(self.seconds, seconds), max(self.memory, memory)
        if outcome in ("accepted", "refused"):
            self.outcomes[outcome] += 1
        else:
            self.findings.append((number, outcome))
        if seconds > MOST_SECONDS or memory > MOST_MEMORY:
            self.findings.append((number, f"{seconds:.1f} s and {memory:.0f} MiB"))


def remember_programs() -> None:
    """Let each graph be written as an ExecuTorch program once.

    Reading compares a program with what ExecuTorch writes of its integers. That takes seconds and gives the same bytes
    for the same graph, which most altered programs still hold.
    """
    from obliq.exporting.content import content_of_graph
    from obliq.exporting.description import describe_graph
    from obliq.exporting.executorch import reader
    from obliq.patch import content_digest

    write, written = reader.to_executorch, dict[tuple[object, ...], bytes]()

    def remembered(graph: Any, *, inputs: Any = None) -> bytes:
        key = (describe_graph(graph), content_digest(content_of_graph(graph)), repr(inputs))
        if key not in written:
            written[key] = write(graph, inputs=inputs)
        return written[key]

    reader.to_executorch = remembered


def _status(name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def _in_child(format: Format, numbers: range, writing: int) -> None:
    isolated.can_isolate = lambda: False  # this process is watched
    resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))
    outcome_of(lambda: format.read(format.good))
    with os.fdopen(writing, "w") as out:
        for number in numbers:
            content = format.altered(choices(format.name, number))
            Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here on
            before, started = _status("VmRSS"), time.process_time()
            signal.setitimer(signal.ITIMER_PROF, LONGEST)  # its signal ends the process
            outcome = outcome_of(lambda content=content: format.read(content))
            signal.setitimer(signal.ITIMER_PROF, 0)
            seconds, memory = time.process_time() - started, _status("VmHWM") - before
            print(json.dumps([number, outcome, seconds, memory]), file=out, flush=True)
    os._exit(0)


def batch(format: Format, numbers: range, found: Found) -> int:
    """Read some files in a child; returns the number of the file to go on with."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            _in_child(format, numbers, writing)
        finally:
            os._exit(1)
    os.close(writing)
    following = numbers.start
    with os.fdopen(reading) as lines:
        for line in lines:
            number, outcome, seconds, memory = json.loads(line)
            found.add(number, outcome, seconds, memory)
            following = number + 1
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if following < numbers.stop:
        found.findings.append((following, f"the process ended with {status}"))
        following += 1
    return following


def row(format: Format, found: Found) -> str:
    """One line of the table."""
    total = sum(found.outcomes.values())
    return (
        f"| {format.name} | {len(format.good):,} | {total:,} | {found.outcomes['accepted']:,} | "
        f"{found.outcomes['refused']:,} | {len(found.findings)} | {found.seconds:.2f} | {found.memory:.0f} |"
    )


def counted(line: str) -> Found:
    """What a row of the table counts, so that a run can go on from there."""
    _, _, _, accepted, refused, findings, seconds, memory = (
        cell.strip().replace(",", "") for cell in line.strip("| ").split(" | ")
    )
    if int(findings):
        raise ValueError(f"findings in {line}; expected a row without any to go on from")
    outcomes = Counter({"accepted": int(accepted), "refused": int(refused)})
    return Found(outcomes, float(seconds), float(memory))


def heading() -> list[str]:
    """What stands above the rows of the table."""
    return [
        "# Files altered at random",
        "",
        "Made by `benchmarks/mutations.py`. A sound file of each format has one to three alterations of its bytes and",
        "of its structure, and is read by the reader that the verbs use. *Findings* are files that ended in anything",
        "else than an answer or an error in one line, or took more than",
        f"{MOST_MEMORY:.0f} MiB or {MOST_SECONDS:.0f} s. The last columns are the most that one file took.",
        "An ExecuTorch program is compared with what ExecuTorch writes of its integers, which takes seconds for any",
        "network; files with the same integers are compared with the same program.",
        f"Python {platform.python_version()}, one thread.",
        "",
        "| format | bytes | files | accepted | refused | findings | seconds | MiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]


def kept_rows() -> dict[str, str]:
    """The rows of earlier runs by format; those that are measured again are replaced."""
    lines = TABLE.read_text().splitlines() if TABLE.exists() else []
    return {
        line.split(" | ")[0][2:]: line
        for line in lines
        if line.startswith("| ") and line[2:5] not in ("---", "for")
    }


def main() -> None:
    """Read altered files of all formats."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mutations", type=int, default=10_000, help="Files of each format.")
    parser.add_argument("--only", default="", help="Only formats whose name contains this.")
    parser.add_argument(
        "--start", type=int, default=0, help="Number of the first file; the row goes on there."
    )
    arguments = parser.parse_args()
    rows = kept_rows()
    remember_programs()
    with tempfile.TemporaryDirectory() as place:
        for format in formats(Path(place)):
            if arguments.only not in format.name:
                continue
            found, number, end = Found(), arguments.start, arguments.start + arguments.mutations
            goes_on = False
            if format.name in rows and number:
                before = counted(rows[format.name])
                goes_on = sum(before.outcomes.values()) == number
                found = before if goes_on else found
            while number < end:
                number = batch(format, range(number, min(number + BATCH, end)), found)
            written = row(format, found)
            print(
                written,
                *(f"  {number}: {what}" for number, what in found.findings[:20]),
                sep="\n",
                flush=True,
            )
            if goes_on or not arguments.start:
                rows[format.name] = written
                TABLE.write_text("\n".join([*heading(), *rows.values()]) + "\n")


if __name__ == "__main__":
    main()
