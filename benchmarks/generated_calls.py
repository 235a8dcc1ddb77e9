"""Calls of the page and of the API that are drawn at random: no failure of the server, nothing shown or changed unduly.

    python benchmarks/generated_calls.py [--calls 10000] [--start NUMBER]

Callers are strangers, people who are logged in, and programs with a token, of every role. They send what pages and the
description of the API expect, with other values, methods, headers and bytes. `tests/record/server/generated.py` draws
the calls and judges the answers. The application is called without a network. A call is drawn from its number, so
`--start NUMBER --calls 1` repeats a finding, as far as it does not depend on calls before it. Needs the extra `serve`.
"""

import argparse
import importlib.metadata
import platform
import sys
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from tests.conftest import make_collection  # noqa: E402
from tests.record.events import begun, received  # noqa: E402
from tests.record.server.browser import written_record  # noqa: E402
from tests.record.server.generated import CASE, Callers, Calls  # noqa: E402

from obliq.data import PartitionRule, partition  # noqa: E402 - the folder of tests is no package of its own
from obliq.record.events import Accepted  # noqa: E402

TABLE = HERE / "results" / "generated_calls.md"


def table(found: Calls) -> str:
    """The results as a page."""
    lines = [
        "# Calls drawn at random",
        "",
        f"Made by `benchmarks/generated_calls.py`: {found.statuses.total():,} calls of the page and of the API by",
        "strangers, people and programs of every role. *Findings* are exceptions, answers of 500 and above, answers",
        "without the headers that protect them, typed text that became markup, folders, control characters or links to",
        "other sites in an answer, a case that a stranger saw, and a record that a stranger or an auditor changed.",
        f"Python {platform.python_version()}, starlette {importlib.metadata.version('starlette')}, python-multipart "
        f"{importlib.metadata.version('python-multipart')}.",
        "",
        f"Findings: {len(found.findings)}. The slowest call took {found.seconds:.2f} s of the processor.",
        "",
        "| status | calls |",
        "| ---: | ---: |",
        *(f"| {status} | {count:,} |" for status, count in sorted(found.statuses.items())),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Make the calls."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--start", type=int, default=0, help="Number of the first call.")
    arguments = parser.parse_args()
    warnings.simplefilter("error")
    parts = partition(make_collection(), PartitionRule(seed=1, holdout=0.2, test=0.2))
    with tempfile.TemporaryDirectory() as place:
        start = replace(begun(approvals=2, devices=3), partition=parts.digest)
        record = written_record(Path(place, "record"), start, received(CASE), Accepted(case=CASE))
        callers, found = Callers(record, parts), Calls()
        for number in range(arguments.start, arguments.start + arguments.calls):
            callers.call(number, found)
    for number, words in found.findings[:50]:
        print(f"{number}: {words!r}")
    print(table(found))
    if not arguments.start:
        TABLE.write_text(table(found))


if __name__ == "__main__":
    main()
