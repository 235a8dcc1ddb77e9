"""The verdict on several methods, in cells of the suites: four retrained networks each, and a fifth as a candidate.

    python benchmarks/verdicts.py --data-folder DIR [--seeds 1 2]

Cells of `fashion-small` and `writers` at W4A4. Methods other than `proxy-matching` have the settings that were tuned
for these cells (tuned.json of the two suites, on another seed); `proxy-matching` has its defaults. `DIR` holds the
folders fashion-mnist and mnist. Writes results/verdicts.csv and .md, cell by cell, and goes on after the rows that are
there; about eight minutes a cell on one processor core.
"""

import argparse
import csv
import dataclasses
import time
from collections import Counter
from pathlib import Path

import torch
from torch import nn

from obliq.auditing import AuditedModel, Measurement, audit_models
from obliq.auditing.measurement import Kind
from obliq.benchmark.scenario import Scenario
from obliq.benchmark.setups import FASHION, WRITERS
from obliq.benchmark.suite import Setup, evenly_spaced
from obliq.benchmark.tuning import TUNING_DOCUMENT
from obliq.benchmark.variants import variants_named
from obliq.data import Splits, load_dataset, partition
from obliq.methods import Method, ProxyMatching
from obliq.models import initialise
from obliq.run import Run
from obliq.training.loop import fit
from obliq.workflow.compare_files import network_signals, retrained_name

RESULTS = Path(__file__).parent / "results"
REFERENCES = 4
TEST = 2000  # samples to audit with
CELLS = (
    ("fashion-small", FASHION, "random=10%"),
    ("fashion-small", FASHION, "class=0"),
    ("writers", WRITERS, "subjects=10"),
)
RIVALS = ("calibrated, in rounds", "oeu entropy", "amun", "salun", "l1-sparse", "fine-tune")
AGAIN, NOTHING = "retrained again", "no unlearning"
COLUMNS = (
    "data",
    "request",
    "seed",
    "method",
    "verdict",
    "gap",
    "auc",
    "lowest",
    "highest",
    "time",
    "outside",
)
WORDS = ("INDISTINGUISHABLE", "INCONCLUSIVE", "REMEMBERED", "OVER-FORGOTTEN", "DAMAGED", "NOTHING TO MEASURE")


class World:
    """A setup with a seed: its data, and networks trained on parts of them."""

    def __init__(self, setup: Setup, seed: int, folder: Path) -> None:
        self.setup, self.seed = setup, seed
        parts = partition(load_dataset(setup.data, folder / setup.data), setup.partition_rule(seed))
        self.parts = dataclasses.replace(parts, test=evenly_spaced(parts.test, TEST))

    def splits(self, request: str) -> Splits:
        """The roles of the samples under a request."""
        return self.parts.forgetting(Scenario(request).select_forget_set(self.parts, self.seed))

    def trained(self, splits: Splits | None, seed: int) -> tuple[nn.Module, float]:
        """A network trained on everything or on a retain set, and the processor seconds it took."""
        model, started = self.setup.blueprint(self.parts.collection).build(), time.process_time()
        initialise(model, seed)
        examples = self.parts.train if splits is None else splits.retain
        return fit(model, examples, self.setup.recipe, Run(seed=seed)), time.process_time() - started


def methods(suite: str, setup: Setup, request: str) -> dict[str, Method]:
    """Ours with its defaults, and the others as tuned."""
    choices = TUNING_DOCUMENT.read(RESULTS / suite / "tuned.json").choices
    found: dict[str, Method] = {"proxy-matching": ProxyMatching(record_every=0)}
    for variant in variants_named(*RIVALS):
        where = (setup.data, setup.architecture, request, variant.name)
        fields = [
            one.fields
            for one in choices
            if (one.data, one.architecture, one.scenario, one.contender) == where
        ]
        tuned = fields[0] if fields else None
        assert tuned is not None, f"{suite}: no settings for {where}"
        found[variant.name] = variant.build(tuned)
    return found


def cell(suite: str, world: World, original: nn.Module, request: str) -> list[list[object]]:
    """Unlearn by every method, retrain, and judge; one row a network."""
    splits, seed = world.splits(request), world.seed
    before = _answers("original", "original", original, splits)
    models = [before, dataclasses.replace(before, kind="unlearned", name=NOTHING)]
    again, whole = world.trained(splits, seed + 100)
    seconds = {NOTHING: 0.0, AGAIN: whole}
    models.append(_answers("unlearned", AGAIN, again, splits))
    for name, method in methods(suite, world.setup, request).items():
        started = time.process_time()
        models.append(_answers("unlearned", name, method.unlearn(original, splits, Run(seed=seed)), splits))
        seconds[name] = time.process_time() - started
    models += [
        _answers("retrained", retrained_name(number), world.trained(splits, seed + number)[0], splits)
        for number in range(1, REFERENCES + 1)
    ]
    audit = audit_models(
        models,
        precision=world.setup.bits,
        forgotten_classes=splits.forgotten_classes,
        exchangeable=request.startswith("random"),
    )
    return [
        [world.setup.data, request, seed, *_measured(one), round(seconds[one.name] / whole, 2), _outside(one)]
        for one in audit.unlearned
    ]


def _answers(kind: Kind, name: str, model: nn.Module, splits: Splits) -> AuditedModel:
    answers = network_signals(model, splits, torch.device("cpu"), relearned=True)
    return AuditedModel(kind=kind, name=name, answers=answers)


def _measured(one: Measurement) -> list[object]:
    verdict = one.verdict
    assert verdict is not None
    assert one.average_gap is not None
    area = next(found for found in verdict.comparisons if found.name == "auc_forget_vs_test")
    assert area.low is not None
    assert area.high is not None
    numbers = (one.average_gap, area.value, area.low, area.high)
    return [one.name, verdict.word, *(round(number, 1) for number in numbers)]


def _outside(one: Measurement) -> str:
    """The statistics that lie outside, with a sign; with a question mark, those too far out to pass."""
    assert one.verdict is not None
    found = []
    for statistic in one.verdict.comparisons:
        side = "+" if statistic.deviations > 0 else "-"
        if statistic.outside(statistic.value):
            found.append(side + statistic.name)
        elif statistic.is_doubtful:
            found.append(f"{side}{statistic.name}?")
    return " ".join(found)


def page(rows: list[list[str]]) -> str:
    """The results as a page: verdicts by method, and every row."""
    names = list(dict.fromkeys(row[3] for row in rows))
    cells = len(rows) // len(names)
    lines = [
        "# The verdict on several methods",
        "",
        f"Written by `benchmarks/verdicts.py`: {cells} cells of the suites `fashion-small` and `writers` (W4A4, 4,000",
        "images, 20 epochs). Each network is compared with four retrained ones. **Retrained again** is a fifth, which",
        "no method can be expected to beat. `proxy-matching` has its defaults. The other methods have the settings",
        "with the smallest Avg. Gap on another seed, see the suites' `tuned.json`. AUC distance is that to the middle",
        "of the retrained networks' interval. Time is relative to retraining.",
        "",
        f"| method | {' | '.join(word.lower() for word in WORDS)} | mean gap | mean AUC distance | time |",
        "| --- |" + " ---: |" * (len(WORDS) + 3),
    ]
    for name in names:
        own = [row for row in rows if row[3] == name]
        count = Counter(row[4] for row in own)
        gap = sum(float(row[5]) for row in own) / len(own)
        area = sum(abs(float(row[6]) - (float(row[7]) + float(row[8])) / 2) for row in own) / len(own)
        spent = sum(float(row[9]) for row in own) / len(own)
        words = " | ".join(str(count[word]) for word in WORDS)
        lines.append(f"| {name} | {words} | {gap:.2f} | {area:.1f} | {spent:.2f} |")
    lines += ["", "## Every cell", "", f"| {' | '.join(COLUMNS)} |", "|" + " --- |" * len(COLUMNS)]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Add the cells that are missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-folder", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    torch.set_num_threads(1)
    table = RESULTS / "verdicts.csv"
    rows: list[list[str]] = []
    if table.exists():
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))[1:]
    done = {(row[0], row[1], row[2]) for row in rows}
    worlds: dict[tuple[str, int], tuple[World, nn.Module]] = {}
    for seed in given.seeds:
        for suite, setup, request in CELLS:
            if (setup.data, request, str(seed)) in done:
                continue
            if (setup.data, seed) not in worlds:
                world = World(setup, seed, given.data_folder)
                worlds[setup.data, seed] = world, world.trained(None, seed)[0]
            found = cell(suite, *worlds[setup.data, seed], request)
            rows += [[str(value) for value in row] for row in found]
            with table.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows([list(COLUMNS), *rows])
            table.with_suffix(".md").write_text(page(rows), encoding="utf-8")
            for row in found:
                print(*row, flush=True)


if __name__ == "__main__":
    main()
