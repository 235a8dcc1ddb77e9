"""The table of docs/methods.md that names a method for each kind of request, with the figures that speak for it.

    python benchmarks/decision_table.py

Takes every figure from committed results and writes the table between its two markers. The choices are ours, and the
figures decide whether they hold: `obliq.workflow.advice` follows the same rows, and a test compares the two.
"""

import csv
import re
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from obliq.methods import Access, access_of, available_methods

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "methods.md"
BEGIN, END = "<!-- decision table: benchmarks/decision_table.py -->", "<!-- end of the decision table -->"
LINK = "../benchmarks/results"
SHORT, LONG = "verdicts", "verdicts_long"  # where retraining takes 20 epochs, and where it takes 182
PASSED = "INDISTINGUISHABLE"
NOTHING, AGAIN = "no unlearning", "retrained again"  # rows of verdicts.csv that no method produced
OURS = "proxy-matching"
HOLDOUT = "calibrated-holdout"  # reads samples that were never trained on, and none of the retain set


@dataclass(frozen=True)
class Choice:
    """A row of the table.

    Attributes:
        request: what is to be forgotten, and under which condition.
        method: its name in the registry; None where none can be recommended.
        note: what to add to the method's name.
        evidence: the figures.
        time: as a share of retraining's.
    """

    request: str
    method: str | None
    evidence: str
    time: str = "-"
    note: str = ""

    @property
    def line(self) -> str:
        """The row in Markdown."""
        name = f"`{self.method}`" if self.method else "none"
        return f"| {self.request} | {name}{self.note} | {self.evidence} | {self.time} |"


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


def mean(suite: str, scenario: str, method: str, column: str, bits: str = "W4A4") -> float:
    """The mean over seeds of a column of a suite."""
    found = [
        float(row[column])
        for row in table_of(f"{suite}/rows.csv")
        if (row["scenario"], row["method"], row["bits"]) == (scenario, method, bits)
    ]
    return statistics.mean(found)


def gap(suite: str, scenario: str, method: str, bits: str = "W4A4") -> str:
    """The mean Avg. Gap."""
    return f"{mean(suite, scenario, method, 'average_gap', bits):.1f}"


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


def but(words: Counter[str]) -> str:
    """The verdicts of the runs that did not pass, in brackets."""
    rest = ", ".join(f"{word} {count} x" for word, count in sorted(words.items()) if word != PASSED)
    return f" ({rest})" if rest else ""


def of(numbers: tuple[int, int]) -> str:
    """Two numbers in words."""
    return f"{numbers[0]} of {numbers[1]}"


def choices() -> Sequence[Choice]:
    """Every row, in order."""
    again = [row["verdict"] for row in table_of("verdicts.csv") if row["method"] == AGAIN]
    tenth, person, people, one = "random=10%", "subjects=1", "subjects=10", "class=0"
    large, memorised = ("random=30%", "random=50%"), ("memorised=high", "memorised=medium", "memorised=low")
    from_file, cpu, long = file_gaps(), "cifar10-cpu", "fashion-long"
    verdicts, small = f"[verdicts]({LINK}/verdicts.md)", f"[`fashion-small`]({LINK}/fashion-small/report.md)"
    return (
        Choice(
            "anything, where you can retrain",
            "retrain",
            f"exact; a fifth retraining passes in {of((again.count(PASSED), len(again)))} runs ({verdicts})",
            "1",
        ),
        Choice(
            "one person with about a tenth of the samples",
            OURS,
            demo_verdicts(),
            "demo's settings: above 1; defaults: "
            f"{time('digits-targets', person, 'proxies, by sample')} after one of at most four rounds; 40 epochs",
        ),
        Choice("a random tenth", OURS, verdicts_of(tenth), f"{verdict_time(tenth)}; 20 epochs"),
        Choice(
            "one person among many, 3 % of the samples",
            OURS,
            verdicts_of(person),
            f"{verdict_time(person)}; 20 epochs",
        ),
        Choice("a class", "retrain", verdicts_of(one), f"1; `{OURS}` {verdict_time(one)}; 20 epochs"),
        Choice(
            "a class, where only accuracy counts",
            "fine-tune",
            f"gap {gap('fashion-small', one, 'fine-tune')}, and {gap('fashion-small', one, 'original')} before; the "
            f"attack's AUC stays at {mean('fashion-small', one, 'fine-tune', 'auc_forget_vs_test'):.1f}, retrained "
            f"{mean('fashion-small', one, 'retrained', 'auc_forget_vs_test'):.1f} ({small})",
            time("fashion-small", one, "fine-tune"),
            ", tuned",
        ),
        Choice(
            "many people, 28 % of the samples",
            "retrain",
            verdicts_of(people),
            f"1; `{OURS}` {verdict_time(people)}",
        ),
        Choice(
            "30 or 50 % of the samples",
            "retrain",
            f"{verdicts_of(*large)}; gap of `calibrated` in rounds for a half "
            f"{gap('fashion', large[1], 'calibrated, in rounds')} (W4A4) and "
            f"{gap('fashion', large[1], 'calibrated, in rounds', 'W2A2')} (W2A2)",
            f"1; `{OURS}` {verdict_time(*large)}",
        ),
        Choice(
            "a tenth chosen by memorisation",
            "retrain",
            f"{verdicts_of(*memorised)}; gap for the most memorised tenth: `calibrated` "
            f"{gap('fashion-small', memorised[0], 'calibrated')}, a second retraining "
            f"{gap('fashion-small', memorised[0], AGAIN)}",
            f"1; `{OURS}` {verdict_time(*memorised)}",
        ),
        Choice(
            "a random tenth, where retraining takes 182 epochs",
            OURS,
            f"{verdicts_of(tenth, table=LONG)}; by gap `calibrated` is nearer ({gap(long, tenth, 'calibrated')}; "
            f"`{OURS}`, tuned, {gap(long, tenth, OURS)}; before {gap(long, tenth, 'original')}), in "
            f"{time(long, tenth, 'calibrated')} of the time; by the attack's AUC `{OURS}` is nearer "
            f"({auc(long, tenth, OURS)}; `calibrated` {auc(long, tenth, 'calibrated')}, retrained "
            f"{auc(long, tenth, 'retrained')}; [`fashion-long`]({LINK}/fashion-long/report.md))",
            verdict_time(tenth, table=LONG),
        ),
        Choice(
            "a random tenth that the network hardly memorised",
            "fine-tune",
            f"gap {gap('cifar10-small', tenth, 'fine-tune')}, a second retraining "
            f"{gap('cifar10-small', tenth, AGAIN)}, before {gap('cifar10-small', tenth, 'original')}: no method can be "
            f"nearer; no verdict ([`cifar10-small`]({LINK}/cifar10-small/report.md))",
            time("cifar10-small", tenth, "fine-tune"),
            ", tuned",
        ),
        Choice(
            "a random tenth of 1,000 images, where retraining takes 182 epochs and ten or fifty passes are affordable",
            "calibrated",
            f"gap {budget(10, 'calibrated')} with ten passes, {budget(50, 'calibrated')} with fifty (`not` "
            f"{budget(10, 'not')} and {budget(50, 'not')}); a second retraining {budget(10, AGAIN)}, before "
            f"{budget(10, 'original')}; no verdict ([ten]({LINK}/fashion-budget-10/report.md), "
            f"[fifty]({LINK}/fashion-budget-50/report.md))",
            f"{time('fashion-budget-10', tenth, 'calibrated')} with ten",
            ", one round",
        ),
        Choice(
            "a random tenth of 45,000 images",
            "amun",
            f"{at_scale(cpu, tenth)} on a small network; {at_scale('cifar10-resnet20', tenth)} on ResNet-20; "
            "one seed each; no verdict",
            f"{time(cpu, tenth, 'amun')} and {time('cifar10-resnet20', tenth, 'amun')}",
            " or `calibrated`, tuned",
        ),
        Choice(
            "a class of 45,000 images, where only accuracy counts",
            "amun",
            f"{at_scale(cpu, one)}; the attack's AUC stays at {auc(cpu, one, 'amun')} "
            f"(`calibrated` {auc(cpu, one, 'calibrated')}, retrained {auc(cpu, one, 'retrained')}); "
            "one seed",
            time(cpu, one, "amun"),
            ", tuned",
        ),
        Choice(
            "a half of 45,000 images",
            "retrain",
            f"{at_scale(cpu, large[1])}; one seed; no verdict",
            "1",
        ),
        Choice(
            "a random tenth, only the exported file at hand",
            "calibrated",
            f"gap {from_file[0]}, and {from_file[1]} before; no verdict ([integers only]({LINK}/integers_only.md))",
        ),
        Choice(
            "a class, only statistics of the retained samples at hand",
            "ficabu",
            f"gap {gap('digits-targets', one, 'ficabu')}, and {gap('digits-targets', one, 'original')} before "
            f"([`digits-targets`]({LINK}/digits-targets/report.md)); {gap('fashion-small', one, 'ficabu')}, and "
            f"{gap('fashion-small', one, 'original')} before, RA {lost('fashion-small', one, 'ficabu'):+.0f} "
            f"({small}); no verdict",
            time("digits-targets", one, "ficabu"),
            ", tuned",
        ),
        *(
            Choice(
                f"{words}, no retained samples at hand, but some that were never trained on",
                HOLDOUT,
                f"{without_retain('digits-targets', request)}; {without_retain('fashion-small', request)}; no verdict",
                f"{time('digits-targets', request, HOLDOUT)} and {time('fashion-small', request, HOLDOUT)}",
                ", tuned",
            )
            for words, request in (("a class", one), ("a random tenth", tenth))
        ),
        *(
            Choice(f"{words}, nothing but the forget set at hand", None, without_data(request, "nothing"))
            for words, request in (("a class", one), ("a random tenth", tenth))
        ),
    )


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


def without_retain(suite: str, request: str) -> str:
    """The gap of the method that needs holdout samples alone, and that of doing nothing."""
    return (
        f"gap {gap(suite, request, HOLDOUT)}, and {gap(suite, request, 'original')} before, RA "
        f"{lost(suite, request, HOLDOUT):+.1f} ([`{suite}`]({LINK}/{suite}/report.md))"
    )


def nearest(suite: str, request: str, access: Access) -> str:
    """Of the methods of a suite with a level of access, the nearest one, and doing nothing."""
    measured = {row["method"] for row in table_of(f"{suite}/rows.csv") if row["scenario"] == request}
    names = [
        name for name, kind in available_methods().items() if access_of(kind) == access and name != HOLDOUT
    ]
    found = {name: mean(suite, request, name, "average_gap") for name in names if name in measured}
    best = min(found, key=lambda name: found[name])
    return (
        f"the nearest of {len(found)} has a gap of {found[best]:.1f} (`{best}`, RA {lost(suite, request, best):+.0f}), "
        f"doing nothing {gap(suite, request, 'original')} ([`{suite}`]({LINK}/{suite}/report.md))"
    )


def without_data(request: str, access: Access) -> str:
    """The same for Fashion-MNIST and the digits."""
    return f"{nearest('fashion-small', request, access)}; {nearest('digits-targets', request, access)}; no verdict"


def lost(suite: str, request: str, method: str) -> float:
    """RA minus that of retraining, in points; negative where accuracy was lost."""
    return mean(suite, request, method, "retain_accuracy") - mean(
        suite, request, "retrained", "retain_accuracy"
    )


def table() -> str:
    """The table in Markdown."""
    head = ["| to forget | run | what was measured | time |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *(one.line for one in choices())])


def with_table(page: str) -> str:
    """A page with the table between its markers."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def main() -> None:
    """Write the table into its page."""
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
