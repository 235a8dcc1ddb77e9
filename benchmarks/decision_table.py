"""The table of docs/methods.md that names a method for each kind of request, with the figures that speak for it.

    python benchmarks/decision_table.py

Takes every figure from committed results and writes the table between its two markers. The choices are ours, and the
figures decide whether they hold: `obliq.workflow.advice` follows the same rows, and a test compares the two.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from decision_figures import (
    AGAIN,
    HOLDOUT,
    LARGE,
    LINK,
    LONG,
    OURS,
    PASSED,
    at_scale,
    auc,
    budget,
    demo_costs,
    demo_verdicts,
    file_gaps,
    gap,
    helped,
    mean,
    of,
    table_of,
    time,
    verdict_time,
    verdicts_of,
    without_data,
    without_retain,
)

PAGE = Path(__file__).parents[1] / "docs" / "methods.md"
BEGIN, END = "<!-- decision table: benchmarks/decision_table.py -->", "<!-- end of the decision table -->"


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
            demo_costs(),
        ),
        Choice(
            "a random tenth of 4,000 samples", OURS, verdicts_of(tenth), f"{verdict_time(tenth)}; 20 epochs"
        ),
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
            f"{verdicts_of(*large)}; gap for a half: `calibrated` in rounds "
            f"{gap('fashion', large[1], 'calibrated, in rounds')} (W4A4) and "
            f"{gap('fashion', large[1], 'calibrated, in rounds', 'W2A2')} (W2A2), `{OURS}` "
            f"{gap('fashion', large[1], OURS)} and {gap('fashion', large[1], OURS, 'W2A2')}",
            f"1; `{OURS}` {verdict_time(*large)}",
        ),
        Choice(
            "a tenth chosen by memorisation",
            "retrain",
            f"{verdicts_of(*memorised)}; gap for the most memorised tenth: `{OURS}` "
            f"{gap('fashion-small', memorised[0], OURS)}, `calibrated` "
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
            "a random tenth of 5,000 images, of which the network learned little (80 % right in training)",
            "retrain",
            f"gap of the nearest, `q-mul` with its code's labels, {gap('cifar10-small', tenth, 'q-mul code labels')}, "
            f"of `fine-tune` {gap('cifar10-small', tenth, 'fine-tune')}, a second retraining "
            f"{gap('cifar10-small', tenth, AGAIN)}, before {gap('cifar10-small', tenth, 'original')}; no verdict "
            f"([`cifar10-small`]({LINK}/cifar10-small/report.md))",
            f"1; `q-mul` {time('cifar10-small', tenth, 'q-mul code labels')}",
        ),
        *(
            Choice(
                f"a random tenth of 1,000 images, where retraining takes 182 epochs and {words} are affordable",
                method,
                f"gap {budget(epochs, method)}, `{other}` {budget(epochs, other)}; before "
                f"{budget(epochs, 'original')}; a second retraining {budget(epochs, AGAIN)}, so differences of this "
                f"size may be chance; no verdict ([`{suite}`]({LINK}/{suite}/report.md))",
                spent,
                note,
            )
            for words, epochs, suite, method, other, note, spent in (
                (
                    "ten epochs",
                    10,
                    "fashion-budget-10",
                    "calibrated",
                    "not",
                    ", one round, tuned",
                    f"{time('fashion-budget-10', tenth, 'calibrated')}; `not` "
                    f"{time('fashion-budget-10', tenth, 'not')}",
                ),
                (
                    "fifty epochs",
                    50,
                    "fashion-budget-50",
                    "not",
                    "calibrated",
                    ", tuned",
                    f"{50 / 182:.2g}, counted in passes",
                ),
            )
        ),
        Choice(
            "a random tenth of 45,000 images",
            "retrain",
            f"on a small network, {verdicts_of(tenth, table=LARGE)}; {at_scale('cifar10-tenth', tenth)}, two seeds; on "
            f"ResNet-20, {at_scale('cifar10-resnet20', tenth)}, one seed and no verdict",
            f"1; `amun` {time('cifar10-tenth', tenth, 'amun')} and {time('cifar10-resnet20', tenth, 'amun')}; "
            f"`{OURS}` {verdict_time(tenth, table=LARGE)}",
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
            f"{without_retain(one, 'ficabu', 'digits-targets', 'fashion-small', 'watch')}; no verdict",
            time("digits-targets", one, "ficabu"),
            ", tuned; then check that the class is no longer recognised",
        ),
        *(
            Choice(
                f"{words}, no retained samples at hand, but some that were never trained on",
                HOLDOUT,
                f"{without_retain(request, HOLDOUT, *suites)}{recognised}; no verdict",
                f"{time(suites[0], request, HOLDOUT)} and {time(suites[1], request, HOLDOUT)}",
                f", tuned; nearer than before on {of(helped(request, HOLDOUT, *suites))} data sets",
            )
            for words, request, suites, recognised in (
                (
                    "a class",
                    one,
                    ("digits-targets", "fashion-small", "watch"),
                    f"; the attack's AUC stays at {auc('fashion-small', one, HOLDOUT)} (`fashion-small`) and "
                    f"{auc('watch', one, HOLDOUT)} (`watch`)",
                ),
                ("a random tenth", tenth, ("digits-targets", "fashion-small"), ""),
            )
        ),
        *(
            Choice(
                f"{words}, no retained samples at hand",
                None,
                "; ".join(
                    f"`{name}`: {without_retain(request, name, *suites)}" for name in (HOLDOUT, "ficabu")
                )
                + "; no verdict",
            )
            for words, request, suites in (
                ("one person", person, ("digits-targets", "writers", "watch")),
                ("the most memorised tenth", memorised[0], ("fashion-small",)),
            )
        ),
        *(
            Choice(f"{words}, nothing but the forget set at hand", None, without_data(request, "nothing"))
            for words, request in (("a class", one), ("a random tenth", tenth))
        ),
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
