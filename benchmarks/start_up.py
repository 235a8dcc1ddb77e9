"""What starting costs: importing the package and printing help, as ratios to importing torch.

    python benchmarks/start_up.py [--rounds 7]

Every measurement is a new process. All take turns in each round, and a ratio is taken within a round, of processor
time (user and system), Python's own start included. The table gives median and range.
"""

import argparse
import platform
import resource
import statistics
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from obliq.cli.verbs import VERBS

TABLE = Path(__file__).parent / "results" / "start_up.md"
TORCH = "import torch"
CODE = ("pass", TORCH, "import obliq", "import obliq; obliq.Recipe", "from obliq import *")
WORDS = ((), ("--version",), ("--help",), *((*name.split(), "--help") for name in VERBS))
COMMANDS = {
    **{code: [sys.executable, "-c", code] for code in CODE},
    **{" ".join(["obliq", *words]): [sys.executable, "-m", "obliq", *words] for words in WORDS},
}
"""What is measured, by the name of its row."""


def seconds(command: list[str]) -> float:
    """Processor time of a new process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def line_for(name: str, found: list[float], torch: list[float]) -> str:
    """The table row of one command."""
    ratios = [mine / theirs for mine, theirs in zip(found, torch, strict=True)]
    return (
        f"| `{name}` | {statistics.median(found):.2f} | {statistics.median(ratios):.2f} | "
        f"{min(ratios):.2f} to {max(ratios):.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    found: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(rounds + 1):
        for name, command in COMMANDS.items():
            spent = seconds(command)
            if number:  # the first round fills the caches of files and of compiled modules
                found[name].append(spent)
    lines = [
        "# What starting costs",
        "",
        f"Processor time of new processes, median over {rounds} rounds, and the ratio to `import torch` in the same "
        f"round (median, range). Python {platform.python_version()}, torch {version('torch')}, one thread.",
        "",
        "| command | seconds | ratio | range |",
        "| --- | --- | --- | --- |",
        *(line_for(name, found[name], found[TORCH]) for name in COMMANDS),
    ]
    TABLE.write_text("\n".join(lines) + "\n")
    print(TABLE.read_text())


if __name__ == "__main__":
    main()
