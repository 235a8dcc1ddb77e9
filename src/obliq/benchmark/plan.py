"""The tasks of a suite: those of tuning, and those of every row."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from obliq.benchmark.method_variant import MethodVariant
from obliq.benchmark.suite import ORIGINAL, RETRAINED, RETRAINED_AGAIN, Suite
from obliq.benchmark.tasks import (
    TUNING_PARTS,
    AuditTask,
    Experiment,
    NetworkTask,
    Problem,
    RetrainedTask,
    Task,
    UnlearnedTask,
)
from obliq.benchmark.tuning import TunedFields, TuningChoice, TuningKey, trial_beyond_edge, tuning_key
from obliq.errors import ObliqError
from obliq.methods import Method


@dataclass(frozen=True)
class TuningTrials:
    """What to try for one method variant and one request.

    Attributes:
        key, problem, variant: of the choice.
        fields: of each trial that is still to be run.
        before: the choice among earlier trials, where there were any.
    """

    key: TuningKey
    problem: Problem
    variant: MethodVariant
    fields: tuple[Mapping[str, Any], ...]
    before: TuningChoice | None = None

    @property
    def methods(self) -> tuple[Method, ...]:
        """The method of each trial."""
        augment = self.problem.experiment.setup.recipe.augment
        return tuple(self.variant.build(one, augment=augment) for one in self.fields)

    def after(self, choice: TuningChoice, most: int) -> "TuningTrials | None":
        """The trial that follows a choice beyond the edge of the range; None where there is none.

        A value that the method refuses, such as a share above 1, ends its range.

        Args:
            choice: among the trials so far.
            most: trials beyond the edge in all.
        """
        if choice.beyond >= most:
            return None
        fields = trial_beyond_edge(choice.every_fields, choice.gaps)
        if fields is None:
            return None
        try:
            self.variant.build(fields)
        except ObliqError:
            return None
        return dataclasses.replace(self, fields=(fields,), before=choice)

    @property
    def audits(self) -> list[AuditTask]:
        """The audit of each trial."""
        return [
            AuditTask(problem=self.problem, network=UnlearnedTask(problem=self.problem, method=one))
            for one in self.methods
        ]

    @property
    def retrained_audit(self) -> AuditTask:
        """The audit of the network that they are compared with."""
        return AuditTask(problem=self.problem, network=RetrainedTask(problem=self.problem))


def tuning_trials(suite: Suite) -> Iterator[TuningTrials]:
    """Everything to tune: variants with a choice, each setup at one bit width, every request."""
    for setup in dict.fromkeys(map(suite.setup_to_tune_in, suite.setups)):
        reported = {
            one.partition_rule(seed): None
            for one in suite.setups
            for seed in suite.seeds
            if one.data == setup.data
        }
        experiment = Experiment(
            setup=setup, seed=suite.tuning_seed, parts=TUNING_PARTS, apart_from=tuple(reported)
        )
        for scenario in dict.fromkeys(map(suite.scenario_to_tune_on, suite.scenarios)):
            references = suite.references if scenario.needs_references else 0
            problem = Problem(experiment=experiment, scenario=scenario, references=references)
            for variant in suite.variants:
                candidates = variant.candidates()
                if len(candidates) > 1:
                    key = tuning_key(setup, scenario, variant)
                    yield TuningTrials(key, problem, variant, tuple(candidates))


@dataclass(frozen=True)
class PlannedRow:
    """A row to compute.

    Attributes:
        problem: an original and what it is to forget.
        name: of the row's method.
        network: the network of the row; None when there are no settings to produce it with.
        error: the reason, in that case.
    """

    problem: Problem
    name: str
    network: NetworkTask | None
    error: str = ""

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What the row needs: its audit, and that of the retrained network."""
        if self.network is None:
            return ()
        return (
            AuditTask(problem=self.problem, network=self.network),
            AuditTask(problem=self.problem, network=RetrainedTask(problem=self.problem)),
        )


def reported_problems(suite: Suite) -> Iterator[Problem]:
    """What is to be forgotten in the rows of a suite, cell by cell."""
    for setup in suite.setups:
        for scenario in suite.scenarios:
            for seed in suite.seeds:
                experiment = Experiment(setup=setup, seed=seed)
                yield Problem(experiment=experiment, scenario=scenario, references=suite.references)


def planned_rows(suite: Suite, tuned: TunedFields) -> Iterator[PlannedRow]:
    """Every row of a suite, cell by cell."""
    for problem in reported_problems(suite):
        yield PlannedRow(problem, ORIGINAL, problem.original)
        yield PlannedRow(problem, RETRAINED, RetrainedTask(problem=problem))
        yield PlannedRow(problem, RETRAINED_AGAIN, RetrainedTask(problem=problem, again=True))
        for variant in suite.variants:
            yield _variant_row(suite, tuned, problem, variant)


def _variant_row(suite: Suite, tuned: TunedFields, problem: Problem, variant: MethodVariant) -> PlannedRow:
    setup, scenario = problem.experiment.setup, problem.scenario
    try:
        fields = tuned.fields(suite, setup, scenario, variant)
        method = variant.build(fields, augment=setup.recipe.augment)
    except ObliqError as error:
        return PlannedRow(problem, variant.name, None, str(error))
    return PlannedRow(problem, variant.name, UnlearnedTask(problem=problem, method=method))
