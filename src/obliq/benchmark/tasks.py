"""The smallest pieces of work whose results are kept, and which of them need which."""

from dataclasses import dataclass

from obliq.benchmark.scenario import Scenario
from obliq.benchmark.suite import Setup
from obliq.data import PartitionRule
from obliq.methods import Method

ALL_PARTS = ("train", "holdout", "test")
TUNING_PARTS = ("train", "holdout")
"""The parts that tuning may evaluate: a user who chooses settings has no test set."""
TASKS_VERSION = 1
"""Raise it when a task combines the same parts otherwise, for instance by another seed of a second retraining."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What one original and all networks that are compared with it share.

    Attributes:
        setup: data, network and recipe.
        seed: of partition, original, requests and methods.
        parts: that networks are evaluated on.
        apart_from: divisions whose test parts are set aside first, see `obliq.benchmark.tuning_samples`; for tuning
            alone.
    """

    setup: Setup
    seed: int
    parts: tuple[str, ...] = ALL_PARTS
    apart_from: tuple[PartitionRule, ...] = ()

    @property
    def without_test(self) -> bool:
        """Whether the holdout part stands in for the test part, as in tuning."""
        return "test" not in self.parts


@dataclass(frozen=True, kw_only=True)
class OriginalTask:
    """Train a network on the whole training part."""

    experiment: Experiment

    @property
    def needs(self) -> tuple["Task", ...]:
        """Nothing."""
        return ()


@dataclass(frozen=True, kw_only=True)
class ReferenceTask:
    """Train network `number` of `count` on its half of the training part, for attacks and memorisation."""

    experiment: Experiment
    number: int
    count: int

    @property
    def needs(self) -> tuple["Task", ...]:
        """Nothing."""
        return ()


@dataclass(frozen=True, kw_only=True)
class Problem:
    """An unlearning problem: an original, and what it is to forget.

    Attributes:
        experiment: of the original.
        scenario: what is to be forgotten.
        references: how many reference networks there are.
    """

    experiment: Experiment
    scenario: Scenario
    references: int

    @property
    def original(self) -> OriginalTask:
        """The network that is to forget."""
        return OriginalTask(experiment=self.experiment)

    @property
    def reference_tasks(self) -> tuple[ReferenceTask, ...]:
        """The reference networks."""
        return tuple(
            ReferenceTask(experiment=self.experiment, number=number, count=self.references)
            for number in range(self.references)
        )

    @property
    def selection_needs(self) -> tuple[ReferenceTask, ...]:
        """The networks that must be there before the forget set can be selected."""
        return self.reference_tasks if self.scenario.needs_references else ()


@dataclass(frozen=True, kw_only=True)
class RetrainedTask:
    """Train a network without the forget set; `again` with other random numbers, for the noise floor."""

    problem: Problem
    again: bool = False

    @property
    def experiment(self) -> Experiment:
        """Of its original."""
        return self.problem.experiment

    @property
    def needs(self) -> tuple["Task", ...]:
        """The original, whose form it takes, and the networks that select the forget set."""
        return (self.problem.original, *self.problem.selection_needs)


@dataclass(frozen=True, kw_only=True)
class UnlearnedTask:
    """Apply a method to the original."""

    problem: Problem
    method: Method

    @property
    def experiment(self) -> Experiment:
        """Of its original."""
        return self.problem.experiment

    @property
    def needs(self) -> tuple["Task", ...]:
        """The original, and the networks that select the forget set."""
        return (self.problem.original, *self.problem.selection_needs)


@dataclass(frozen=True, kw_only=True)
class AuditTask:
    """Audit one network from its signals."""

    problem: Problem
    network: OriginalTask | RetrainedTask | UnlearnedTask

    @property
    def needs(self) -> tuple["Task", ...]:
        """The network and the reference networks of the attacks; tuning runs no attack that needs these."""
        tuning = self.problem.experiment.without_test
        return (self.network, *(self.problem.selection_needs if tuning else self.problem.reference_tasks))


NetworkTask = OriginalTask | RetrainedTask | UnlearnedTask
Task = OriginalTask | ReferenceTask | RetrainedTask | UnlearnedTask | AuditTask
TASK_KINDS = {
    OriginalTask: "original",
    ReferenceTask: "reference",
    RetrainedTask: "retrained",
    UnlearnedTask: "unlearned",
    AuditTask: "audit",
}


def task_kind(task: Task) -> str:
    """The name of a kind of task in tables and keys."""
    return TASK_KINDS[type(task)]


def describe_task(task: Task) -> str:
    """A task in words, for messages."""
    if isinstance(task, AuditTask):
        return f"{task_kind(task)} of {describe_task(task.network)}"
    setup = task.experiment.setup
    words = [setup.data, setup.architecture, setup.bits, f"seed {task.experiment.seed}"]
    if isinstance(task, UnlearnedTask | RetrainedTask):
        words.insert(0, task.problem.scenario.text)
    if isinstance(task, UnlearnedTask):
        words.insert(0, type(task.method).__name__)
    return f"{task_kind(task)} ({', '.join(words)})"
