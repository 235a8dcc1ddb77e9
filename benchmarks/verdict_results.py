"""The table of `benchmarks/verdicts.py`: its cells, its rows, and the page that counts them."""

import csv
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from filelock import FileLock

from obliq.benchmark.scenario import Scenario
from obliq.benchmark.suite import Setup, Suite
from obliq.benchmark.suites import fashion_suite, writers_suite

RESULTS = Path(__file__).parent / "results"
TABLE = RESULTS / "verdicts.csv"
SUITES = (fashion_suite(), writers_suite())
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


def every_cell() -> Iterator[tuple[Suite, Setup, Scenario]]:
    """The cells of the suites."""
    for suite in SUITES:
        for setup in suite.setups:
            for scenario in suite.scenarios:
                yield suite, setup, scenario


def page(rows: Sequence[Row]) -> str:
    """The results as a page: verdicts by method, and every row."""
    names = list(dict.fromkeys(row["method"] for row in rows))
    cells = len({key_of(row) for row in rows})
    lines = [
        "# The verdict on several methods",
        "",
        f"Written by `benchmarks/verdicts.py`: {cells} runs in the cells of the suites `fashion` and `writers` (4,000",
        "images, 20 epochs). Each network is compared with four retrained ones. **Retrained again** is a fifth, which",
        "no method can be expected to beat. `proxy-matching` has its defaults. The other methods have the settings",
        "with the smallest Avg. Gap on another seed, see the suites' `tuned.json`. AUC distance is that to the middle",
        "of the retrained networks' interval. **IAM** and **RMIA** count the runs in which the AUC of these attacks",
        "lies within the interval of the retrained networks, of those in which it was computed. IAM is a part of the",
        "verdict and is not computed for a class. RMIA is no part of it, and its interval is one of 95 %. Time is",
        "relative to retraining.",
        "",
        "Eight runs ran before the range in which a network passes was widened, and have its question marks: a random",
        "tenth (W4A4, both seeds), 30 % (W4A4), 50 %, the least memorised tenth (W4A4), one writer (W4A4) and ten",
        "writers (W4A4, seed 1). Nothing in them was INCONCLUSIVE, so their verdicts stay. The other thirteen ran",
        "again. Three of these have networks that were trained anew on another processor: a class (W4A4) and ten",
        "writers (W4A4, seed 2).",
        "",
        f"| method | {' | '.join(word.lower() for word in WORDS)} | mean gap | mean AUC distance | IAM | RMIA | time |",
        "| --- |" + " ---: |" * (len(WORDS) + 5),
    ]
    for name in names:
        own = [row for row in rows if row["method"] == name]
        count = Counter(row["verdict"] for row in own)
        words = " | ".join(str(count[word]) for word in WORDS)
        lines.append(f"| {name} | {words} | {' | '.join(_summary(own))} |")
    lines += ["", "## Every run", "", f"| {' | '.join(COLUMNS)} |", "|" + " --- |" * len(COLUMNS)]
    lines += [f"| {' | '.join(row.values())} |" for row in rows]
    return "\n".join(lines) + "\n"


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


def add_rows(found: Sequence[Row]) -> None:
    """Add rows to those that are there by now, in the order of the cells, and write both files."""
    cells = [(setup.data, setup.bits, scenario.text) for _, setup, scenario in every_cell()]
    with FileLock(TABLE.with_suffix(".lock")):
        rows = sorted(
            [*read_rows(), *found], key=lambda row: (cells.index(key_of(row)[:-1]), int(row["seed"]))
        )
        with TABLE.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        TABLE.with_suffix(".md").write_text(page(rows), encoding="utf-8")


def read_rows() -> list[Row]:
    """The rows that are there."""
    if not TABLE.exists():
        return []
    with TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def key_of(row: Row) -> tuple[str, str, str, str]:
    """The cell and the seed of a row."""
    return row["data"], row["bits"], row["request"], row["seed"]
