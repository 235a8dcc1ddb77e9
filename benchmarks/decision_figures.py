"""The figures of the decision table, each read from committed results.

A module of `decision_table.py`; it is not run by itself.
"""

import csv
import functools
import re
import statistics
from collections import Counter
from pathlib import Path

from obliq.methods import Access, ProxyMatching, access_of, available_methods
from obliq.workflow import demo
from obliq.workflow.cost import estimate_cost

RESULTS = Path(__file__).parent / "results"
LINK = "../benchmarks/results"
SHORT, LONG = "verdicts", "verdicts_long"  # where retraining takes 20 epochs, and where it takes 182
LARGE = "verdicts_large"  # on 45,000 images
PASSED = "INDISTINGUISHABLE"
NOTHING, AGAIN = "no unlearning", "retrained again"  # rows of verdicts.csv that no method produced
OURS = "proxy-matching"
HOLDOUT = "calibrated-holdout"  # reads samples that were never trained on, and none of the retain set


@functools.cache
def table_of(file: str) -> list[dict[str, str]]:
    """The rows of a committed file of comma-separated values."""
    with (RESULTS / file).open(newline="", encoding="utf-8") as rows:
        return list(csv.DictReader(rows))


def judged(*requests: str, table: str = SHORT) -> list[dict[str, str]]:
    """The rows of a measurement of verdicts for some requests."""
    return [row for row in table_of(f"{table}.csv") if row["request"] in requests]


def passes(request: str, method: str, table: str = SHORT) -> tuple[int, int]:
    """How often a method passed the verdict, and in how many runs."""
    words = [row["verdict"] for row in judged(request, table=table) if row["method"] == method]
    return words.count(PASSED), len(words)


def verdicts_of(*requests: str, table: str = SHORT) -> str:
    """How often `proxy-matching` and the other methods passed, and what the verdict was where it did not."""
    found = judged(*requests, table=table)
    ours = Counter(row["verdict"] for row in found if row["method"] == OURS)
    others = Counter(row["verdict"] for row in found if row["method"] not in (OURS, NOTHING, AGAIN))
    return (
        f"`{OURS}` passes in {ours[PASSED]} of {sum(ours.values())} runs{but(ours)}, the other "
        f"methods in {others[PASSED]} of {sum(others.values())} ([verdicts]({LINK}/{table}.md))"
    )


def verdict_time(*requests: str, table: str = SHORT) -> str:
    """The mean time of `proxy-matching` in a measurement of verdicts."""
    found = judged(*requests, table=table)
    return f"{statistics.mean(float(row['time']) for row in found if row['method'] == OURS):.1f}"


def by_seed(
    suite: str, scenario: str, method: str, column: str, bits: str = "W4A4", data: str | None = None
) -> list[float]:
    """A column of a suite, one number for each seed; of one of its data sets where it has several."""
    return [
        float(row[column])
        for row in table_of(f"{suite}/rows.csv")
        if (row["scenario"], row["method"], row["bits"]) == (scenario, method, bits)
        and data in (None, row["data"])
    ]


def mean(
    suite: str, scenario: str, method: str, column: str, bits: str = "W4A4", data: str | None = None
) -> float:
    """The mean over seeds; arguments as for `by_seed`."""
    return statistics.mean(by_seed(suite, scenario, method, column, bits, data))


def gap(suite: str, scenario: str, method: str, bits: str = "W4A4", data: str | None = None) -> str:
    """The mean Avg. Gap."""
    return f"{mean(suite, scenario, method, 'average_gap', bits, data):.1f}"


def auc(suite: str, scenario: str, method: str) -> str:
    """The mean AUC of the attack on confidences."""
    return f"{mean(suite, scenario, method, 'auc_forget_vs_test'):.1f}"


def time(suite: str, scenario: str, method: str, bits: str = "W4A4") -> str:
    """The mean time, as a share of retraining's."""
    return f"{mean(suite, scenario, method, 'time_ratio', bits):.2g}"


def demo_verdicts() -> str:
    """How often our default and one more retraining passed in the runs of the demo."""
    text = (RESULTS / "demo_seeds.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if re.match(r"\| \d", line)]
    ours, default, again = (Counter(row[column] for row in rows) for column in (7, 8, 10))
    return (
        f"passes in {of((ours[PASSED], len(rows)))} runs{but(ours)} with the demo's settings, in {default[PASSED]}"
        f"{but(default)} with its defaults; one more retraining in {again[PASSED]} ([demo]({LINK}/demo_seeds.md), "
        "digits)"
    )


def demo_costs() -> str:
    """Passes in the demo of seed 0 as a share of retraining's: by its own settings, and by the method's defaults."""
    parts = demo.divided(0)
    assert parts.collection.subjects is not None
    of_person = parts.collection.subjects[parts.train.indices] == demo.PERSON
    splits = parts.forgetting(parts.train.indices[of_person], salt=bytes(32))
    found = []
    for method in (demo.METHODS["unlearned"], ProxyMatching()):
        cost = estimate_cost(method, splits, demo.RECIPE)
        assert cost is not None
        found.append(f"{cost.least / cost.retraining:.2g} to {cost.most / cost.retraining:.2g}")
    return f"demo's settings {found[0]}, defaults {found[1]}, counted in passes; {demo.RECIPE.epochs} epochs"


def but(words: Counter[str]) -> str:
    """The verdicts of the runs that did not pass, in brackets."""
    rest = ", ".join(f"{word} {count} x" for word, count in sorted(words.items()) if word != PASSED)
    return f" ({rest})" if rest else ""


def of(numbers: tuple[int, int]) -> str:
    """Two numbers in words."""
    return f"{numbers[0]} of {numbers[1]}"


def budget(passes: int, method: str) -> str:
    """The mean gap with so many passes."""
    return gap(f"fashion-budget-{passes}", "random=10%", method)


def at_scale(suite: str, request: str) -> str:
    """The gaps of the two nearest methods at 45,000 images, of a second retraining and of doing nothing."""
    rows = table_of(f"{suite}/rows.csv")
    measured = dict.fromkeys(
        row["method"] for row in rows if row["scenario"] == request and row["kind"] == "unlearned"
    )
    nearest_first = sorted(measured, key=lambda name: mean(suite, request, name, "average_gap"))
    names = {f"of `{name}`": name for name in nearest_first[:2]}
    names |= {"a second retraining": AGAIN, "before": "original"}
    found = ", ".join(f"{words} {gap(suite, request, name)}" for words, name in names.items())
    return f"gap {found} ([`{suite}`]({LINK}/{suite}/report.md))"


def file_gaps() -> tuple[str, str]:
    """The gap after unlearning from an exported file of W4A4 alone, and before."""
    text = (RESULTS / "integers_only.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    gaps = {row[0]: f"{float(row[-1].split()[0]):.1f}" for row in reversed(rows) if "±" in row[-1]}
    return gaps["the file alone"], gaps[NOTHING]


def without_retain(request: str, method: str, *suites: str) -> str:
    """The gap of a method with its range over seeds, that of doing nothing, and the change of RA, in each suite."""
    return "; ".join(
        f"gap {with_range(suite, request, method)}, and {gap(suite, request, 'original')} before, RA "
        f"{round(lost(suite, request, method), 1) + 0.0:+.1f} ([`{suite}`]({LINK}/{suite}/report.md))"
        for suite in suites
    )


def helped(request: str, method: str, *suites: str) -> tuple[int, int]:
    """In how many suites a method is nearer to retraining than doing nothing is, and of how many."""
    nearer = [
        mean(suite, request, method, "average_gap") < mean(suite, request, "original", "average_gap")
        for suite in suites
    ]
    return sum(nearer), len(nearer)


def with_range(suite: str, request: str, method: str) -> str:
    """The mean gap at W4A4, with the smallest and the largest of its seeds."""
    found = by_seed(suite, request, method, "average_gap")
    return f"{statistics.mean(found):.1f} ({min(found):.1f} to {max(found):.1f})"


def nearest(suite: str, request: str, access: Access, data: str | None = None) -> str:
    """Of the methods of a suite with a level of access, the nearest one, and doing nothing."""
    measured = {row["method"] for row in table_of(f"{suite}/rows.csv") if row["scenario"] == request}
    names = [
        name for name, kind in available_methods().items() if access_of(kind) == access and name != HOLDOUT
    ]
    found = {name: mean(suite, request, name, "average_gap", data=data) for name in names if name in measured}
    best = min(found, key=lambda name: found[name])
    return (
        f"the nearest of {len(found)} has a gap of {found[best]:.1f} (`{best}`, RA "
        f"{round(lost(suite, request, best, data)):+d}), doing nothing "
        f"{gap(suite, request, 'original', data=data)} ([`{suite}`]({LINK}/{suite}/report.md))"
    )


def without_data(request: str, access: Access) -> str:
    """The same for Fashion-MNIST, and twice for the digits, whose networks and requests differ in the two suites."""
    return (
        f"{nearest('fashion-small', request, access)}; {nearest('digits-targets', request, access)}; "
        f"{nearest('no-retain', request, access, 'digits')}; no verdict"
    )


def lost(suite: str, request: str, method: str, data: str | None = None) -> float:
    """RA minus that of retraining, in points; negative where accuracy was lost."""
    return mean(suite, request, method, "retain_accuracy", data=data) - mean(
        suite, request, "retrained", "retain_accuracy", data=data
    )
