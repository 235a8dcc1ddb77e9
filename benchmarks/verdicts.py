"""The verdict on several methods, in cells of four suites: four retrained networks each, and a fifth as a candidate.

    python benchmarks/verdicts.py --data-folder DIR [--seeds 1 2] [--only fashion-mnist-W4A4]
        [--table long]

The 18 cells of `fashion` and `writers`; with `--table long` that of `fashion-long`, with `--table large` that of
`cifar10-tenth`, each in a table of its own. Methods other than `proxy-matching` have the settings that were tuned for
these cells (tuned.json of the suites, on another seed); `proxy-matching` has its defaults. `DIR` holds the folders
fashion-mnist, mnist and cifar10. Writes results/verdicts.csv and .md (verdicts_long and verdicts_large), cell by cell,
and goes on after the rows that are there; on one processor core about eight minutes a cell, 20 in the long table and
70 in the large one. Several processes may share a table: `--only` takes the cells of one data set and bit width.
"""

import argparse
import dataclasses
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from obliq.auditing import (
    AuditedModel,
    Measurement,
    audit_models,
    compute_signals,
    memorisation_scores,
    rmia_separation,
)
from obliq.auditing.measurement import Kind
from obliq.auditing.reference_attacks import retrained_references
from obliq.auditing.reference_models import reference_halves, stack_answers, train_reference_network
from obliq.auditing.signals import RoleSignals
from obliq.auditing.variation import estimate_variation
from obliq.benchmark.scenario import Scenario
from obliq.benchmark.suite import Setup, Suite
from obliq.benchmark.tuning import TUNING_DOCUMENT
from obliq.benchmark.variants import variants_named
from obliq.data import Splits, load_dataset, partition
from obliq.methods import Method, ProxyMatching
from obliq.models import initialise
from obliq.run import Run
from obliq.training.loop import fit
from obliq.workflow.compare_files import network_signals, retrained_name
from verdict_results import COLUMNS, RESULTS, TABLES, key_of

REFERENCES = 4
TEST = 2000  # samples to audit with
AGAIN, NOTHING = "retrained again", "no unlearning"


class World:
    """A setup with a seed: its data, and networks trained on parts of them."""

    def __init__(self, suite: Suite, setup: Setup, seed: int, folder: Path) -> None:
        self.suite, self.setup, self.seed = suite, setup, seed
        parts = partition(load_dataset(setup.data, folder / setup.data), setup.partition_rule(seed))
        self.parts = dataclasses.replace(parts, test=parts.test.spread(TEST))

    def splits(self, scenario: Scenario) -> Splits:
        """The roles of the samples under a request."""
        scores = self.memorisation if scenario.needs_references else None
        return self.parts.forgetting(scenario.select_forget_set(self.parts, self.seed, scores))

    def trained(self, splits: Splits | None, seed: int) -> tuple[nn.Module, float]:
        """A network trained on everything or on a retain set, and the processor seconds it took."""
        model, started = self.setup.blueprint(self.parts.collection).build(), time.process_time()
        initialise(model, seed)
        examples = self.parts.train if splits is None else splits.retain
        return fit(model, examples, self.setup.recipe, Run(seed=seed)), time.process_time() - started

    @cached_property
    def original(self) -> nn.Module:
        """The network trained on everything."""
        return self.trained(None, self.seed)[0]

    @cached_property
    def memorisation(self) -> Tensor:
        """The score of each training sample, from reference networks as the suite trains them."""
        train, run = self.parts.train, Run(seed=self.seed)
        halves = reference_halves(train, self.suite.references, self.seed)
        form, recipe = self.setup.blueprint(self.parts.collection).build(), self.setup.recipe
        answers = [
            compute_signals(train_reference_network(form, half, recipe, run, number), train, run.device)
            for number, half in enumerate(halves)
        ]
        return torch.from_numpy(memorisation_scores(stack_answers(answers, train, halves)))

    def methods(self, scenario: Scenario, rivals: Sequence[str]) -> dict[str, Method]:
        """Ours with its defaults, and the others as tuned."""
        choices = TUNING_DOCUMENT.read(RESULTS / self.suite.name / "tuned.json").choices
        found: dict[str, Method] = {"proxy-matching": ProxyMatching(record_every=0)}
        tuned_on = self.suite.scenario_to_tune_on(scenario).text
        for variant in variants_named(*rivals):
            where = (self.setup.data, self.setup.architecture, tuned_on, variant.name)
            fields = [
                one.fields
                for one in choices
                if (one.data, one.architecture, one.scenario, one.contender) == where
            ]
            tuned = fields[0] if fields else None
            assert tuned is not None, f"{self.suite.name}: no settings for {where}"
            found[variant.name] = variant.build(tuned)
        return found


def cell(world: World, scenario: Scenario, rivals: Sequence[str]) -> list[list[object]]:
    """Unlearn by every method, retrain, and judge; one row a network."""
    splits, seed = world.splits(scenario), world.seed
    before = _answers("original", "original", world.original, splits)
    models = [before, dataclasses.replace(before, kind="unlearned", name=NOTHING)]
    again, whole = world.trained(splits, seed + 100)
    seconds = {NOTHING: 0.0, AGAIN: whole}
    models.append(_answers("unlearned", AGAIN, again, splits))
    for name, method in world.methods(scenario, rivals).items():
        started = time.process_time()
        unlearned = method.unlearn(world.original, splits, Run(seed=seed))
        models.append(_answers("unlearned", name, unlearned, splits))
        seconds[name] = time.process_time() - started
    models += [
        _answers("retrained", retrained_name(number), world.trained(splits, seed + number)[0], splits)
        for number in range(1, REFERENCES + 1)
    ]
    audit = audit_models(
        models,
        precision=world.setup.bits,
        forgotten_classes=splits.forgotten_classes,
        exchangeable=scenario.text.startswith("random"),
    )
    stronger = _rmia(models)
    return [
        [
            *(world.setup.data, world.setup.bits, scenario.text, seed),
            *_measured(one),
            *stronger[one.name],
            round(seconds[one.name] / whole, 2),
            _outside(one),
        ]
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


def _rmia(models: Sequence[AuditedModel]) -> dict[str, list[float]]:
    """RMIA's AUC by network, and the interval of 95 % in which one more retrained network would have it.

    A retrained network's own value comes from the others, as in the verdict, of which RMIA is no part.
    """
    retrained = [one.answers for one in models if one.kind == "retrained"]

    def area(answers: RoleSignals, others: Sequence[RoleSignals]) -> float:
        return rmia_separation(answers, retrained_references(others)).auc

    values = [area(one, [other for other in retrained if other is not one]) for one in retrained]
    interval = estimate_variation(values, 100 / len(retrained[0].forget), None).interval(0.05, "both")
    return {
        one.title: [
            round(number, 1) for number in (area(one.answers, retrained), interval.low, interval.high)
        ]
        for one in models
        if one.kind == "unlearned"
    }


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


def main() -> None:
    """Add the cells that are missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-folder", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", help="data and bits of the cells to compute, such as fashion-mnist-W4A4")
    parser.add_argument("--table", choices=TABLES, default="short", help="which cells to compute")
    given = parser.parse_args()
    torch.set_num_threads(1)
    table = TABLES[given.table]
    done = set(map(key_of, table.read_rows()))
    worlds: dict[tuple[str, str], World] = {}
    for seed in given.seeds:
        for suite, setup, scenario in table.every_cell():
            key = (setup.data, setup.bits)
            if given.only not in (None, "-".join(key)) or (*key, scenario.text, str(seed)) in done:
                continue
            if worlds.get(key) is None or worlds[key].seed != seed:
                worlds[key] = World(suite, setup, seed, given.data_folder)
            found = cell(worlds[key], scenario, table.rivals)
            table.add_rows([dict(zip(COLUMNS, map(str, row), strict=True)) for row in found])
            for row in found:
                print(*row, flush=True)


if __name__ == "__main__":
    main()
