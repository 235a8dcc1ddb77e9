"""The tables of `benchmarks/verdicts.py`: their cells, their rows, and the pages that count them."""

import csv
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from obliq.benchmark.cifar10_suites import cifar10_tenth_suite
from obliq.benchmark.report.text import KINDER
from obliq.benchmark.scenario import Scenario
from obliq.benchmark.suite import Setup, Suite
from obliq.benchmark.suites import fashion_long_suite, fashion_suite, writers_suite

RESULTS = Path(__file__).parent / "results"
RIVALS = ("calibrated, in rounds", "oeu entropy", "amun", "salun", "l1-sparse", "fine-tune")
COLUMNS = (
    "data",
    "bits",
    "request",
    "seed",
    "method",
    "verdict",
    "gap",
    "auc",
    "lowest",
    "highest",
    "rmia",
    "rmia lowest",
    "rmia highest",
    "time",
    "outside",
)
WORDS = ("INDISTINGUISHABLE", "INCONCLUSIVE", "REMEMBERED", "OVER-FORGOTTEN", "DAMAGED", "NOTHING TO MEASURE")

Row = dict[str, str]
"""The values of a row by column, as text."""


MEANING = """\
Each network is compared with four retrained ones. **Retrained again** is a fifth, which no method can be expected to
beat. `proxy-matching` has its defaults. The other methods have the settings with the smallest Avg. Gap on another seed,
see the `tuned.json` of the suite. AUC distance is that to the middle of the retrained networks' interval. **IAM** and
**RMIA** count the runs in which the AUC of these attacks lies within the interval of the retrained networks, of those
in which it was computed. IAM is a part of the verdict and is not computed for a class. RMIA is no part of it, and its
interval is one of 95 %. Time is relative to retraining. **°** marks a method that is kinder to accuracy than its public
code ([how](../../docs/methods.md#what-differs-from-public-code))."""
EARLIER_RUNS = """\
Eight runs ran before the range in which a network passes was widened, and have its question marks: a random tenth
(W4A4, both seeds), 30 % (W4A4), 50 %, the least memorised tenth (W4A4), one writer (W4A4) and ten writers (W4A4, seed
1). Nothing in them was INCONCLUSIVE, so their verdicts stay. The other thirteen ran again. Three of these have networks
that were trained anew on another processor: a class (W4A4) and ten writers (W4A4, seed 2).

All ran before the suites had trials beyond the edges of their ranges. The settings of the other methods are therefore
those of the `tuned.json` of version 0.3.0, which differ in some cells."""


@dataclass(frozen=True)
class VerdictTable:
    """A table of rows, and its page.

    Attributes:
        name: of both files.
        suites: whose cells it has.
        title: of the page.
        cells: in words.
        remark: of the page, after the explanation of columns.
        rivals: the methods next to `proxy-matching`.
    """

    name: str
    suites: tuple[Suite, ...]
    title: str
    cells: str
    remark: str = ""
    rivals: tuple[str, ...] = RIVALS

    @property
    def file(self) -> Path:
        """The table."""
        return RESULTS / f"{self.name}.csv"

    def every_cell(self) -> Iterator[tuple[Suite, Setup, Scenario]]:
        """The cells of the suites."""
        for suite in self.suites:
            for setup in suite.setups:
                for scenario in suite.scenarios:
                    yield suite, setup, scenario

    def add_rows(self, found: Sequence[Row]) -> None:
        """Add rows to those that are there by now, in the order of the cells, and write both files."""
        cells = [(setup.data, setup.bits, scenario.text) for _, setup, scenario in self.every_cell()]
        with FileLock(self.file.with_suffix(".lock")):
            rows = sorted(
                [*self.read_rows(), *found],
                key=lambda row: (cells.index(key_of(row)[:-1]), int(row["seed"])),
            )
            with self.file.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
            self.file.with_suffix(".md").write_text(self.page(rows), encoding="utf-8")

    def read_rows(self) -> list[Row]:
        """The rows that are there."""
        if not self.file.exists():
            return []
        with self.file.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def page(self, rows: Sequence[Row]) -> str:
        """The results as a page: verdicts by method, and every row."""
        names = list(dict.fromkeys(row["method"] for row in rows))
        runs = len({key_of(row) for row in rows})
        lines = [
            f"# {self.title}",
            "",
            f"Written by `benchmarks/verdicts.py`: {runs} runs {self.cells}.",
            MEANING,
            "",
            *([self.remark, ""] if self.remark else []),
            f"| method | {' | '.join(word.lower() for word in WORDS)} | mean gap | mean AUC distance | IAM | RMIA "
            "| time |",
            "| --- |" + " ---: |" * (len(WORDS) + 5),
        ]
        for name in names:
            own = [row for row in rows if row["method"] == name]
            count = Counter(row["verdict"] for row in own)
            words = " | ".join(str(count[word]) for word in WORDS)
            lines.append(f"| {name}{' °' * (name in KINDER)} | {words} | {' | '.join(_summary(own))} |")
        lines += ["", "## Every run", "", f"| {' | '.join(COLUMNS)} |", "|" + " --- |" * len(COLUMNS)]
        lines += [f"| {' | '.join(row.values())} |" for row in rows]
        return "\n".join(lines) + "\n"


SHORT = VerdictTable(
    "verdicts",
    (fashion_suite(), writers_suite()),
    "The verdict on several methods",
    "in the cells of the suites `fashion` and `writers` (4,000 images, 20 epochs)",
    EARLIER_RUNS,
)
LONG = VerdictTable(
    "verdicts_long",
    (fashion_long_suite(),),
    "The verdict where retraining takes 182 epochs",
    "in the cell of `fashion-long` (4,000 images, 182 epochs), one for each seed",
)
LARGE = VerdictTable(
    "verdicts_large",
    (cifar10_tenth_suite(),),
    "The verdict on 45,000 images",
    "in the cell of `cifar10-tenth` (45,000 images, 30 epochs), one for each seed",
    rivals=("calibrated", "amun", "coun", "munba", "not", "q-mul", "l1-sparse", "fine-tune"),
)
TABLES = {"short": SHORT, "long": LONG, "large": LARGE}


def _summary(own: Sequence[Row]) -> Iterator[str]:
    """Mean gap, mean AUC distance, how often IAM and RMIA are inside, and mean time of one method."""
    yield f"{statistics.fmean(float(row['gap']) for row in own):.2f}"
    middles = [(float(row["lowest"]) + float(row["highest"])) / 2 for row in own]
    yield f"{statistics.fmean(abs(float(row['auc']) - middle) for row, middle in zip(own, middles, strict=True)):.1f}"
    outside = [row["outside"].split() for row in own if not row["request"].startswith("class")]
    yield f"{sum('+iam_auc' not in one and '-iam_auc' not in one for one in outside)} of {len(outside)}"
    known = [row for row in own if row["rmia"]]
    inside = [float(row["rmia lowest"]) <= float(row["rmia"]) <= float(row["rmia highest"]) for row in known]
    yield f"{sum(inside)} of {len(known)}"
    yield f"{statistics.fmean(float(row['time']) for row in own):.2f}"


def key_of(row: Row) -> tuple[str, str, str, str]:
    """The cell and the seed of a row."""
    return row["data"], row["bits"], row["request"], row["seed"]
