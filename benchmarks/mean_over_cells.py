"""Every method's mean over all cells of the suites fashion and writers, from their committed rows.

    python benchmarks/mean_over_cells.py

A cell is a data set, a request and a bit width; its value is the mean over three seeds. The README's table and the
first one of docs/results.md show some of the rows.
"""

import csv
import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
TABLE = RESULTS / "mean_over_cells.md"
SUITES = ("fashion", "writers")
UNTUNED = ("fashion-default", "writers-default")
AIM, AGAIN = "retrained", "retrained again"
OWN_AGAIN = "retrained again, next to the default"

INTRODUCTION = """\
# Means over all cells

The mean over the {cells} cells of the suites fashion and writers: {widths}. Each cell is the mean over three seeds.
`benchmarks/mean_over_cells.py` computes this table from the committed rows.

- **Avg. Gap**: mean distance to the retrained network in UA, RA, TA and MIA, in points. **Largest** is the largest
  cell.
- **AUC distance**: mean distance of the attack's AUC to its AUC on the retrained network of the same seed, in points.
  The attack uses the confidence in the true class; distances count in both directions.
- **Time**: a share of the retraining's time, as recorded. Machines were shared, and retraining takes only 20 epochs.
- **`proxy-matching, defaults`** is the default method without tuning, and the other methods are tuned. Its rows
  ([Fashion-MNIST](fashion-default/report.md), [writers](writers-default/report.md)) were computed on another kind of
  processor, with {seeds} in each cell. It is compared with retrained networks from there, and so is `{own}`. Its time
  is processor time.

| method | Avg. Gap | largest | AUC distance | largest AUC distance | time |
| --- | ---: | ---: | ---: | ---: | ---: |
"""

Row = dict[str, str]


def read_rows(suites: Sequence[str]) -> list[Row]:
    """The rows of these suites."""
    rows: list[Row] = []
    for suite in suites:
        with (RESULTS / suite / "rows.csv").open(newline="", encoding="utf-8") as file:
            rows += csv.DictReader(file)
    return rows


def cell_of(row: Row) -> tuple[str, str, str]:
    """What is the same for all seeds and methods of a cell."""
    return row["data"], row["bits"], row["scenario"]


def means(rows: list[Row]) -> dict[str, list[tuple[float, float, float]]]:
    """By method: gap, AUC distance and time of each cell.

    Raises:
        ValueError: when a method lacks a cell.
    """
    aims = {
        (cell_of(row), row["seed"]): float(row["auc_forget_vs_test"]) for row in rows if row["method"] == AIM
    }
    seeds = defaultdict(list)
    for row in rows:
        if row["method"] != AIM and not row["error"]:
            distance = abs(float(row["auc_forget_vs_test"]) - aims[cell_of(row), row["seed"]])
            values = (float(row["average_gap"]), distance, float(row["time_ratio"]))
            seeds[row["method"], cell_of(row)].append(values)
    by_method = defaultdict(list)
    for (method, _), values in seeds.items():
        gap, distance, time = (statistics.mean(column) for column in zip(*values, strict=True))
        by_method[method].append((gap, distance, time))
    count = len({cell_of(row) for row in rows})
    short = {method: len(cells) for method, cells in by_method.items() if len(cells) != count}
    if short:
        raise ValueError(f"cells of {short}; expected {count} of each method")
    return by_method


def main() -> None:
    """Write the table."""
    rows, untuned = read_rows(SUITES), read_rows(UNTUNED)
    own = {(OWN_AGAIN if name == AGAIN else name): cells for name, cells in means(untuned).items()}
    every = means(rows) | {name: cells for name, cells in own.items() if name != "original"}
    cells = {cell_of(row) for row in rows}
    names = {"fashion-mnist": "on Fashion-MNIST", "mnist": "on writers of digits"}
    widths = " and ".join(
        f"{sum(data == name for data, _, _ in cells)} {words}" for name, words in names.items()
    )
    lines = []
    for method, values in sorted(every.items(), key=lambda item: statistics.mean(v[0] for v in item[1])):
        gaps, distances, times = zip(*values, strict=True)
        time = "-" if method == "original" else f"{statistics.mean(times):.2f}"
        lines.append(
            f"| {method} | {statistics.mean(gaps):.2f} | {max(gaps):.2f} | {statistics.mean(distances):.1f} "
            f"| {max(distances):.1f} | {time} |"
        )
    seeds = len({row["seed"] for row in untuned})
    head = INTRODUCTION.format(
        cells=len(cells), widths=widths, own=OWN_AGAIN, seeds="one seed" if seeds == 1 else f"{seeds} seeds"
    )
    TABLE.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
