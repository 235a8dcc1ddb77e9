"""Every method's mean over all cells of the suites fashion and writers, from their committed rows.

    python benchmarks/mean_over_cells.py

A cell is a data set, a request and a bit width; its value is the mean over three seeds. The README's table and the
first one of docs/results.md show some of the rows.
"""

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from scipy.special import stdtrit

from obliq.benchmark.report.access import access_by_name, access_notes
from obliq.benchmark.report.text import KINDER
from obliq.benchmark.suites import suite_named

RESULTS = Path(__file__).parent / "results"
TABLE = RESULTS / "mean_over_cells.md"
SUITES = ("fashion", "writers")
UNTUNED = ("fashion-default", "writers-default")
AIM, AGAIN = "retrained", "retrained again"
NO_METHODS = (AIM, AGAIN, "original")

INTRODUCTION = """\
# Means over all cells

The mean over the {cells} cells of the suites fashion and writers: {widths}. Each cell is the mean over three seeds.
`benchmarks/mean_over_cells.py` computes this table from the committed rows.

- **Avg. Gap**: mean distance to the retrained network in UA, RA, TA and MIA, in points. **Largest** is the largest
  cell.
- **AUC distance**: mean distance of the attack's AUC to its AUC on the retrained network of the same seed, in points.
  The attack uses the confidence in the true class; distances count in both directions. **RMIA distance** is the same
  for the AUC of the stronger attack RMIA.
- **Within**: in how many of 100 networks RMIA's AUC is as near to the retrained network's as a further retraining's
  would be in 95 of 100 cases. The range of a cell comes from its three pairs of retrained networks: the root of
  their mean squared difference, times 3.18 (Student's t, three degrees of freedom).
- **In brackets**: the [level of access](../../docs/methods.md#all-methods) of methods that read less than the retain
  set.
- **°**: kinder to accuracy than its public code ([how](../../docs/methods.md#what-differs-from-public-code)).
- **Time**: a share of the retraining's time, as recorded. Machines were shared, and retraining takes only 20 epochs.
- **`proxy-matching, defaults`** is the default method without tuning ([Fashion-MNIST](fashion-default/report.md),
  [writers](writers-default/report.md)); the other methods are tuned. All rows were computed on one kind of processor.

| method | Avg. Gap | largest | AUC distance | largest AUC distance | time | RMIA distance | within, % |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""

Row = dict[str, Any]
Cell = tuple[str, str, str]
SHARE_INSIDE = 0.95


def read_rows(suites: Sequence[str]) -> list[Row]:
    """The rows of these suites that are no errors."""
    files = [file for suite in suites for file in sorted((RESULTS / suite).glob("*-*.json"))]
    rows = [row for file in files for row in json.loads(file.read_text(encoding="utf-8"))["rows"]]
    return [row for row in rows if not row["error"]]


def cell_of(row: Row) -> Cell:
    """What is the same for all seeds and methods of a cell."""
    return row["data"], row["bits"], row["scenario"]


def differences(rows: Iterable[Row], statistic: str) -> dict[str, dict[Cell, list[float]]]:
    """By method and cell: how far from the network retrained with the same seed."""
    rows = list(rows)
    aims = {(cell_of(row), row["seed"]): row[statistic] for row in rows if row["method"] == AIM}
    found: dict[str, dict[Cell, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["method"] != AIM:
            found[row["method"]][cell_of(row)].append(row[statistic] - aims[cell_of(row), row["seed"]])
    return found


def ranges(again: dict[Cell, list[float]]) -> dict[Cell, float]:
    """By cell: how far a further retraining lies from a retrained network in 95 of 100 cases, from pairs of them."""
    return {
        cell: float(stdtrit(len(pairs), (1 + SHARE_INSIDE) / 2))
        * math.sqrt(statistics.mean(one**2 for one in pairs))
        for cell, pairs in again.items()
    }


def gaps_and_times(rows: Iterable[Row]) -> dict[str, list[tuple[float, float]]]:
    """By method: Avg. Gap and time of each cell, means over its seeds."""
    seeds: dict[tuple[str, Cell], list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        if row["method"] != AIM:
            seeds[row["method"], cell_of(row)].append((row["average_gap"], row["time_ratio"] or math.nan))
    by_method: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for (method, _), values in seeds.items():
        gaps, times = zip(*values, strict=True)
        by_method[method].append((statistics.mean(gaps), statistics.mean(times)))
    return by_method


def lines_of(rows: Sequence[Row]) -> list[str]:
    """The table's lines, by mean gap.

    Raises:
        ValueError: when a method lacks a cell.
    """
    cells = {cell_of(row) for row in rows}
    areas, attacks = differences(rows, "auc_forget_vs_test"), differences(rows, "rmia_auc")
    limits = ranges(attacks[AGAIN])
    notes = {
        key: note
        for suite in SUITES
        for key, note in access_notes(access_by_name(suite_named(suite))).items()
    }
    lines = {}
    for method, values in gaps_and_times(rows).items():
        if len(values) != len(cells) or areas[method].keys() != cells:
            raise ValueError(f"{method} has {len(values)} cells; expected {len(cells)}")
        gaps, times = zip(*values, strict=True)
        distances = [statistics.mean(map(abs, one)) for one in areas[method].values()]
        stronger = [statistics.mean(map(abs, one)) for one in attacks[method].values()]
        within = [abs(one) <= limits[cell] for cell, ones in attacks[method].items() for one in ones]
        time = "-" if method == "original" else f"{statistics.mean(times):.2f}"
        mean = statistics.mean(gaps)
        name = f"{method} ({notes[method]})" if method in notes else method
        name += " °" * (method in KINDER)
        lines[method] = (
            mean,
            f"| {name} | {mean:.2f} | {max(gaps):.2f} | {statistics.mean(distances):.1f} | {max(distances):.1f} "
            f"| {time} | {statistics.mean(stronger):.1f} | {100 * statistics.mean(within):.0f} |",
        )
    return [line for _, line in sorted(lines.values())]


def require_one_processor(rows: Iterable[Row]) -> None:
    """Raise where networks would be compared with ones that another kind of processor retrained.

    Raises:
        ValueError: naming the processors.
    """
    found = {row["machine"]["processor"] for row in rows}
    if len(found) > 1:
        raise ValueError(f"rows of several kinds of processor: {', '.join(sorted(found))}; expected one")


def main() -> None:
    """Write the table."""
    rows, untuned = read_rows(SUITES), read_rows(UNTUNED)
    require_one_processor([*rows, *untuned])
    lines = lines_of([*rows, *(row for row in untuned if row["method"] not in NO_METHODS)])
    data = [name for name, _, _ in {cell_of(row) for row in rows}]
    names = {"fashion-mnist": "on Fashion-MNIST", "mnist": "on writers of digits"}
    head = INTRODUCTION.format(
        cells=len(data),
        widths=" and ".join(f"{data.count(name)} {words}" for name, words in names.items()),
    )
    TABLE.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
