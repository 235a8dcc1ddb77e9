"""What small hostile files cost: memory and time of the verb that reads each, until it refuses.

    python benchmarks/hostile_files.py [--only TEXT]

Each file is read in a child process, which has read a harmless file of its kind before and starts no further child.
What is measured is the peak of memory beyond that start, and the processor time from there until the verb ends. Needs
Linux, and the extras `onnx` and `patch`; programs are left out without ExecuTorch.
"""

import argparse
import contextlib
import io
import json
import os
import platform
import re
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from obliq.io.isolated import child as isolated

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from tests.hostile.costly.cases import Case, all_cases  # noqa: E402 - the folder of tests is no package of its own

TABLE = HERE / "results" / "hostile_files.md"
MOST_MEMORY, MOST_SECONDS = 512, 5.0
"""MiB and seconds, for files of 10 MB or less."""

LONGEST, MOST_PROCESSOR = 300, 60
"""Seconds of the clock and of the processor, after which a child is ended."""

ROOM = 9 * 2**30
"""Bytes of memory that a child may have."""


@dataclass(frozen=True)
class Found:
    """What was measured of one file."""

    size: int
    memory: float
    seconds: float
    outcome: str


def peak_reset() -> float:
    """MiB in use; the peak counts from here on."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def outcome_of(read: Callable[[], object]) -> str:
    """How reading ends: `read`, `refused: ...` in one line, or what went wrong."""
    from obliq.errors import ObliqError

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            status = read()
    except ObliqError as error:
        said.write(str(error))
        status = 1
    except BaseException as error:
        return f"FAILED: {type(error).__name__}: {' '.join(str(error).split())[:100]}"
    line = " ".join(said.getvalue().split())
    if status == 1:
        return f"refused: {line.removeprefix('obliq: error: ')}"
    return "read" if status in (0, None) else f"status {status}"


def measured(case: Case, folder: Path) -> Found:
    """Run one case in a child."""
    size = case.build(folder)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _in_child(case, folder, writing)
    os.close(writing)
    started, lines = time.monotonic(), b""
    os.set_blocking(reading, False)
    while True:
        with contextlib.suppress(BlockingIOError):
            lines += os.read(reading, 2**16)
        ended, _ = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() - started > LONGEST:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            break
        time.sleep(0.01)
    with contextlib.suppress(BlockingIOError):
        lines += os.read(reading, 2**16)
    os.close(reading)
    if not lines:
        return Found(size, float("nan"), time.monotonic() - started, "FAILED: no end")
    memory, seconds, outcome = json.loads(lines)
    return Found(size, memory, seconds, outcome)


def _in_child(case: Case, folder: Path, writing: int) -> None:
    import resource

    isolated.can_isolate = lambda: False  # this process is watched
    resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))
    warmed = outcome_of(case.harmless)
    if warmed.startswith("FAILED"):
        found: tuple[float, float, str] = (0.0, 0.0, f"FAILED: harmless: {warmed}")
    else:
        start, started = peak_reset(), time.process_time()
        resource.setrlimit(
            resource.RLIMIT_CPU, (int(started) + MOST_PROCESSOR, int(started) + MOST_PROCESSOR)
        )
        outcome = outcome_of(lambda: case.read(folder))
        found = (_status("VmHWM") - start, time.process_time() - started, outcome)
    os.write(writing, json.dumps(found).encode()[: 2**16])
    os._exit(0)


def row(case: Case, found: Found) -> str:
    """One line of the table."""
    over = found.memory > MOST_MEMORY or found.seconds > MOST_SECONDS or found.outcome.startswith("FAILED")
    outcome = re.sub(r"\S*/", "", found.outcome).replace("|", "/")[:90]
    mark = " (!)" if over or found.memory != found.memory else ""
    return (
        f"| {case.kind} | {case.name} | {found.size / 1000:,.0f} | {found.memory:,.0f} | {found.seconds:.2f}{mark} | "
        f"{outcome} |"
    )


def heading() -> list[str]:
    """What stands above the rows of the table."""
    return [
        "# What hostile files cost",
        "",
        "Peak memory beyond the start of the process (MB of 2^20 bytes) and processor seconds of the verb that reads",
        "each file, until it refuses. The aim for files of 10 MB or less:",
        f"{MOST_MEMORY} MB and {MOST_SECONDS:.0f} s;",
        "(!) marks what is above.",
        f"Python {platform.python_version()}, one thread.",
        "",
        "| format | file | kB | MB | seconds | outcome |",
        "| --- | --- | --- | --- | --- | --- |",
    ]


def kept_rows() -> dict[str, str]:
    """The rows of earlier runs by kind and name; those that are measured again are replaced."""
    lines = TABLE.read_text().splitlines() if TABLE.exists() else []
    found = [line for line in lines if line.startswith("| ") and not line.startswith(("| ---", "| format"))]
    return {"".join(line.split(" | ")[:2]): line for line in found}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="Measure only cases whose kind or name contains this.")
    arguments = parser.parse_args()
    rows = kept_rows()
    with tempfile.TemporaryDirectory() as shared:
        for case in all_cases(Path(shared)):
            if arguments.only not in f"{case.kind}: {case.name}":
                continue
            with tempfile.TemporaryDirectory() as place:
                try:
                    found = measured(case, Path(place))
                except Exception:
                    traceback.print_exc()
                    continue
            rows[f"| {case.kind}{case.name}"] = written = row(case, found)
            print(written, flush=True)
    TABLE.write_text("\n".join([*heading(), *rows.values()]) + "\n")


if __name__ == "__main__":
    main()
