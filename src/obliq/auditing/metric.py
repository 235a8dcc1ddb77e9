"""What an entry in the table of metrics consists of, and what its value is computed from."""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import Literal

from obliq.auditing.accuracy import Utility, accuracy_estimate, measure_utility
from obliq.auditing.intervals import Estimate
from obliq.auditing.membership import Separation, confidence_separation
from obliq.auditing.reference_attacks import ReferenceSignals, iam_separation, rmia_separation
from obliq.auditing.signals import RoleSignals, Signals

Unit = Literal["%", "points", "share", "nats", "s", "MB", "codes", ""]
Place = Literal["audit", "report", "terminal", "benchmark"]
Aim = Literal["retrained", "chance", "unknown"]
"""What the numbers of an audit are compared with: retrained networks, the values that chance gives for a random share
of the data, or nothing."""
Role = Literal["forget", "retain", "holdout", "test", "test_scored", "unseen"]
Values = Mapping[str, float | None]
"""Numbers of one network by the name of their metric; None where a number does not exist."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """What the metrics of one network are computed from, before any comparison with the retrained one.

    Attributes:
        answers: the network's signals in every role.
        forgotten_classes: classes of which nothing is retained; see `measure_utility`.
        original: the signals of the network before the request; None where attacks do not know it.
        references: answers of reference networks to the same samples; None without reference networks.
        seconds: wall time that producing the network took; None when unknown.
        changed_codes_percent: integer weight codes that differ from the original's; None when not counted.
    """

    answers: RoleSignals
    forgotten_classes: frozenset[int] = frozenset()
    original: RoleSignals | None = None
    references: ReferenceSignals | None = None
    seconds: float | None = None
    changed_codes_percent: float | None = None

    @cached_property
    def utility(self) -> Utility:
        """Accuracy in every role."""
        return measure_utility(self.answers, self.forgotten_classes)

    def mean_entropy(self, role: Literal["forget", "retain", "holdout", "test"]) -> float | None:
        """Of the predictions in a role, in nats; None where the role has no samples."""
        signals: Signals | None = getattr(self.answers, role)
        return None if signals is None else float(signals.entropy.mean())

    @cached_property
    def separation(self) -> Separation | None:
        """Forget samples against unseen ones by confidence; None without a test set."""
        return None if self.answers.test is None else confidence_separation(self.answers)

    @cached_property
    def relearned(self) -> Estimate | None:
        """Accuracy on the other forgotten samples after relearning some; None where that was not measured."""
        relearned = self.answers.relearned
        return None if relearned is None else accuracy_estimate(relearned.forget)

    @cached_property
    def relative(self) -> Separation | None:
        """The same by RMIA's likelihood ratio; None without reference networks."""
        return None if self.references is None else rmia_separation(self.answers, self.references)

    @cached_property
    def interpolated(self) -> Separation | None:
        """The same by IAM; None without reference networks or original."""
        if self.references is None or self.original is None:
            return None
        return iam_separation(self.answers, self.original, self.references)


NOT_KNOWN = "not known without retraining"


def at_one_percent(apart: Separation | None) -> Estimate | None:
    """The share that an attack recognises at 1 % false alarms; None without the attack or too few samples for it."""
    return None if apart is None else apart.recognised_at_one_percent


@dataclass(frozen=True)
class Target:
    """The value to wish for.

    Attributes:
        text: in words, where a retrained network was measured too.
        alone: in words, where none was; the same as `text` when empty.
        retrained: whether only retraining shows the value to wish for, unless the forget set is a random share.
        chance: the value for a network that never saw the forget set, if that is a random share of the data; None
            where there is no such value.
    """

    text: str
    alone: str = ""
    _: KW_ONLY
    retrained: bool = False
    chance: float | None = None

    @property
    def described(self) -> str:
        """Both texts in one, as docs/audit-format.md prints them."""
        return (
            f"{self.text}; without one {self.alone} for a random share"
            if self.chance is not None
            else self.text
        )


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One entry of the table. `measure` or `compare` computes the value; a benchmark records the rest itself.

    Attributes:
        name: field of `audit.json`, column of `rows.csv`, and attribute of `Measurement` and `Row`.
        label: the field's abbreviation, for instance UA; heads columns.
        words: the label in a few plain words.
        definition: one sentence, as docs/audit-format.md prints it.
        group: heading of the table that it stands in, one of `GROUPS`.
        target: the value to wish for.
        unit: of the value.
        digits: decimals to show.
        samples: roles whose smallest count is the n behind the number; empty where samples do not matter.
        measure: the value from one network's signals; None where there is none.
        compare: the value from this network's values and the retrained network's.
        whole: whether values are whole numbers.
        required: whether every audit has a value. A file without it is refused.
        needs_test: whether there is no value without test samples, even where it is required.
        of_classes: whether the classes that a network answers with suffice to measure it.
        places: where it is shown or stored.
    """

    name: str
    label: str
    words: str
    definition: str
    group: str
    target: Target
    unit: Unit = "%"
    digits: int = 1
    samples: tuple[Role, ...] = ()
    measure: Callable[[Evidence], Estimate | float | None] | None = None
    compare: Callable[[Values, Values], float | None] | None = None
    whole: bool = False
    required: bool = False
    needs_test: bool = False
    of_classes: bool = False
    places: frozenset[Place] = field(default=frozenset({"audit", "report", "terminal", "benchmark"}))

    def wanted(self, aim: Aim) -> str:
        """The target in words, for what an audit has to compare with."""
        if aim == "unknown" and self.target.retrained:
            return NOT_KNOWN
        return self.target.text if aim == "retrained" or not self.target.alone else self.target.alone
