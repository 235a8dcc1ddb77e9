"""The smallest pieces of work worth keeping, and which of them need which."""

from dataclasses import dataclass

from obliq.benchmark.scenario import Scenario
from obliq.benchmark.suite import World
from obliq.methods import Method

ALL_PARTS = ("train", "holdout", "test")
BLIND = ("train", "holdout")
"""What may be looked at for tuning: a user who chooses settings has no test set."""
TASKS_VERSION = 1
"""Raised when a task does something else with the same parts, such as another seed for a second retraining."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What all networks of one original share.

    Attributes:
        world: how the original is made.
        seed: of partition, original, requests and methods.
        parts: that networks are asked about.
    """

    world: World
    seed: int
    parts: tuple[str, ...] = ALL_PARTS

    @property
    def blind(self) -> bool:
        """Whether the holdout part stands in for the test part."""
        return "test" not in self.parts


@dataclass(frozen=True, kw_only=True)
class Original:
    """Train a network on the whole training part."""

    ground: Ground

    @property
    def needs(self) -> tuple["Task", ...]:
        """Nothing."""
        return ()


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Train network `number` of `count` on its half of the training part, for attacks and memorisation."""

    ground: Ground
    number: int
    count: int

    @property
    def needs(self) -> tuple["Task", ...]:
        """Nothing."""
        return ()


@dataclass(frozen=True, kw_only=True)
class Case:
    """One request to one original.

    Attributes:
        ground: of the original.
        scenario: what is to be forgotten.
        references: how many reference networks there are.
    """

    ground: Ground
    scenario: Scenario
    references: int

    @property
    def original(self) -> Original:
        """The network that is asked to forget."""
        return Original(ground=self.ground)

    @property
    def reference_tasks(self) -> tuple[Reference, ...]:
        """The networks that others are compared with."""
        return tuple(
            Reference(ground=self.ground, number=number, count=self.references)
            for number in range(self.references)
        )

    @property
    def chosen_by(self) -> tuple[Reference, ...]:
        """What must be known before it can be said who is forgotten."""
        return self.reference_tasks if self.scenario.needs_references else ()


@dataclass(frozen=True, kw_only=True)
class Retrained:
    """Train a network anew without the forget set; `again` from other random numbers, for the noise floor."""

    case: Case
    again: bool = False

    @property
    def ground(self) -> Ground:
        """Of its original."""
        return self.case.ground

    @property
    def needs(self) -> tuple["Task", ...]:
        """The original, whose form is trained anew, and who is forgotten."""
        return (self.case.original, *self.case.chosen_by)


@dataclass(frozen=True, kw_only=True)
class Unlearned:
    """Apply a method to the original."""

    case: Case
    method: Method

    @property
    def ground(self) -> Ground:
        """Of its original."""
        return self.case.ground

    @property
    def needs(self) -> tuple["Task", ...]:
        """The original, and who is forgotten."""
        return (self.case.original, *self.case.chosen_by)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Audit one network from its signals."""

    case: Case
    of: Original | Retrained | Unlearned

    @property
    def needs(self) -> tuple["Task", ...]:
        """The network, and the references that an attack uses; tuning does without the attack."""
        return (self.of, *(self.case.chosen_by if self.case.ground.blind else self.case.reference_tasks))


Network = Original | Retrained | Unlearned
Task = Original | Reference | Retrained | Unlearned | Measured
KINDS = {
    Original: "original", Reference: "reference", Retrained: "retrained", Unlearned: "unlearned",
    Measured: "audit",
}  # fmt: skip


def kind_of(task: Task) -> str:
    """The word for a task in tables and keys."""
    return KINDS[type(task)]


def told(task: Task) -> str:
    """Which task it is, for messages."""
    if isinstance(task, Measured):
        return f"{kind_of(task)} of {told(task.of)}"
    world = task.ground.world
    words = [world.data, world.architecture, world.bits, f"seed {task.ground.seed}"]
    if isinstance(task, Unlearned | Retrained):
        words.insert(0, task.case.scenario.words)
    if isinstance(task, Unlearned):
        words.insert(0, type(task.method).__name__)
    return f"{kind_of(task)} ({', '.join(words)})"
