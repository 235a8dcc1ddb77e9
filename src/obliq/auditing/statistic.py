"""What a statistic of the verdict is: a number of one network, and what it is computed from."""

import math
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from obliq.auditing.membership import Separation, confidence_separation
from obliq.auditing.reference_attacks import iam_separation, retrained_references
from obliq.auditing.signals import RoleSignals, Signals
from obliq.auditing.variation import INFLATION, Sides

Kind = Literal["memory", "utility", "answers"]
Parts = tuple[Float64[ndarray, " _"], ...]
CLIP = 6.0
"""Nats. Margins beyond it, a confidence of .9975, differ between equal trainings without any meaning."""


@dataclass(frozen=True, eq=False)
class Judged:
    """What the statistics of one network are computed from.

    Attributes:
        answers: the network's signals in every role.
        original: those of the network before the request.
        others: those of the retrained networks that it is compared with, without itself.
        forgotten_classes: classes of which nothing is retained.
    """

    answers: RoleSignals
    original: RoleSignals
    others: Sequence[RoleSignals]
    forgotten_classes: frozenset[int] = frozenset()

    @cached_property
    def kept(self) -> Bool[ndarray, " test"]:
        """Marks the test samples of classes that are retained."""
        return ~np.isin(self.answers.tested.labels.numpy(), sorted(self.forgotten_classes))

    @cached_property
    def test(self) -> Signals:
        """The answers to these samples."""
        return self.answers.tested.where(self.kept)

    @cached_property
    def separation(self) -> Separation:
        """Forget samples against unseen ones by confidence."""
        return confidence_separation(self.answers)

    @cached_property
    def interpolated(self) -> Separation:
        """Forget samples against unseen ones by the attack IAM, which knows the original and the retrained networks."""
        return iam_separation(self.answers, self.original, retrained_references(self.others))

    @cached_property
    def class_correct(self) -> Bool[ndarray, " samples"]:
        """Whether each forget sample, and each unseen one of the same classes, is answered correctly."""
        return np.concatenate([self.answers.forget.correct, self.answers.unseen.correct])

    @cached_property
    def class_margin(self) -> Float64[ndarray, " samples"]:
        """The clipped margins of the same samples."""
        return clipped(np.concatenate([self.answers.forget.margin, self.answers.unseen.margin]))


@dataclass(frozen=True)
class Statistic:
    """One number of a network that retraining decides.

    Attributes:
        name: in audit.json.
        words: what it is, in a few plain words that need no other statistic before them.
        kind: `memory` of the forget set, `utility` on other data, or other properties of the `answers` to unseen data.
        label: the words short enough for a table.
        error: the share of the whole error of 5 % that this statistic may use.
        sides: on which side of the interval a value counts as outside.
        measure: the number.
        resolution: the smallest standard deviation that is believed, see `estimate_variation`.
        parts: what each sample contributes to the number, for each set of samples over which it is a mean; see
            `expected_variance`. None for numbers that are no means.
        inflation: the variance between retrained networks over that of independent samples, for numbers with `parts`.
        usual: the standard deviation between retrained networks that trials found, for numbers that are no means and
            whose scale does not depend on the data. None where only the networks at hand show it.
        bounds: the smallest and the largest value that there is.
        digits: decimals to show.
        of_classes: whether the classes that a network answers with suffice to measure it.
    """

    name: str
    words: str
    kind: Kind
    _: KW_ONLY
    label: str
    error: float
    measure: Callable[[Judged], float]
    resolution: Callable[[Judged], float]
    parts: Callable[[Judged], Parts] | None = None
    inflation: float = INFLATION
    usual: float | None = None
    sides: Sides = "both"
    bounds: tuple[float, float] = (-math.inf, math.inf)
    digits: int = 1
    of_classes: bool = False


def clipped(margin: Float64[ndarray, " samples"]) -> Float64[ndarray, " samples"]:
    """Margins of at most `CLIP` nats, by a smooth function."""
    bounded: ndarray = CLIP * np.tanh(margin / CLIP)
    return bounded
