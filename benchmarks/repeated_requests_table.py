"""The rows of `repeated_requests.py`, and the table that is made of them.

A module of that script; it is not run by itself.
"""

import csv
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from obliq.methods import ProxyMatching

RESULTS = Path(__file__).parent / "results"
ROWS, TABLE = RESULTS / "repeated_requests.csv", RESULTS / "repeated_requests.md"
TITLES = {"small": "Five requests of 1.5 %", "classes": "Three classes"}
NUMBERS_AT_END = ("newest_confidence", "earlier_confidence", "retain_accuracy", "test_accuracy")
COLUMNS = (
    "gap, all steps",
    "gap, end",
    "newest",
    "earlier",
    "retained",
    "unseen",
    "codes",
    "patch bytes",
    "seconds",
)
HEAD = """# Requests that keep coming

Made by `benchmarks/repeated_requests.py`: digits, ConvNet W4A4 trained for 20 epochs, `proxy-matching` at its defaults.
Differences in points to the mean of two networks retrained on what remains (target 0): confidence on the newest and on
all earlier forgotten samples after the last request, accuracy on retained and unseen ones. The gap is the mean of three
absolute differences of accuracy: on all samples forgotten so far, on retained and on unseen ones. **Retrained again**
is the second of the two compared with the first alone: noise. Codes, bytes and processor seconds are totals over a
stream; a patch goes from one release to the next."""
WAYS = ("last network", "original", "gathered", "nothing done", "retrained again")
NUMBERS = (
    "newest_accuracy",
    "newest_confidence",
    "earlier_accuracy",
    "earlier_confidence",
    "retain_accuracy",
    "test_accuracy",
    "gap",
)


FIELDS = ("version", "stream", "order", "step", "way", *NUMBERS, "codes", "bytes", "seconds")


def append(rows: Sequence[Mapping[str, object]]) -> None:
    """Write further rows, below those that are there."""
    new = not ROWS.exists()
    with ROWS.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if new:
            writer.writeheader()
        for row in rows:
            writer.writerow({name: _text(value) for name, value in row.items()})


def _text(value: object) -> object:
    return f"{value:.3f}" if isinstance(value, float) else value


def read() -> list[dict[str, str]]:
    """The rows that are there and that the method would compute now."""
    if not ROWS.exists():
        return []
    with ROWS.open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["version"] == str(ProxyMatching.version)]


def write_table(lengths: Mapping[str, int]) -> None:
    """Summarise the rows: after the last request, and the mean over all requests of a stream.

    Args:
        lengths: the number of requests of each stream.
    """
    rows = read()
    lines = [HEAD]
    for stream, title in TITLES.items():
        mine = [row for row in rows if row["stream"] == stream]
        if not mine:
            continue
        orders = len({row["order"] for row in mine})
        last = max(int(row["step"]) for row in mine)
        part = "" if last == lengths[stream] else f", the first {last} so far"
        lines += ["", f"## {title}{part}, {_orders(orders)}", ""]
        lines += [f"| way | {' | '.join(COLUMNS)} |", f"| --- |{' ---: |' * len(COLUMNS)}"]
        for way in WAYS:
            every = [row for row in mine if row["way"] == way]
            end = [row for row in every if int(row["step"]) == last]
            cells = [_mean(every, "gap"), *(_mean(end, name) for name in ("gap", *NUMBERS_AT_END))]
            cells += [_total(every, name, orders) for name in ("codes", "bytes", "seconds")]
            lines.append(f"| {way} | {' | '.join(cells)} |")
    TABLE.write_text("\n".join(lines) + "\n")


def _orders(count: int) -> str:
    return "one order" if count == 1 else f"{count} orders"


def _mean(rows: Sequence[Mapping[str, str]], name: str) -> str:
    values = [float(row[name]) for row in rows if row[name]]
    return f"{statistics.mean(values):{'' if name == 'gap' else '+'}.2f}" if values else "-"


def _total(rows: Sequence[Mapping[str, str]], name: str, orders: int) -> str:
    values = [float(row[name]) for row in rows if row[name]]
    return f"{sum(values) / orders:,.0f}" if values else "-"
