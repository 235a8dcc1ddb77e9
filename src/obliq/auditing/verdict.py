"""The verdict about one network: a word, the reason for it, and what to do next."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from obliq.auditing.reference_comparison import Comparison
from obliq.auditing.statistics import EVERY_STATISTIC

Word = Literal[
    "INDISTINGUISHABLE", "REMEMBERED", "OVER-FORGOTTEN", "DAMAGED", "NOTHING TO MEASURE", "INCONCLUSIVE"
]
Step = Literal["ship", "more references", "more samples", "test samples", "other settings", "record logits"]
ENOUGH_REFERENCES = 4
"""How many retrained networks are recommended to begin with."""


@dataclass(frozen=True)
class Verdict:
    """One word about one network, with the reason for it.

    Attributes:
        word: see `obliq.auditing.verdict_rules`.
        reason: one to three sentences with the numbers that led to the word.
        next_step: what to do now, in one word or two; `advice` has it in a sentence.
        references: how many retrained networks the network was compared with.
        references_wanted: how many would probably decide; None where the number is not known or not the matter.
        comparisons: each statistic with the interval of the retrained networks; empty for fewer than two of these.
    """

    word: Word
    reason: str
    next_step: Step
    references: int
    references_wanted: int | None = None
    comparisons: tuple[Comparison, ...] = ()

    @property
    def advice(self) -> str:
        """What to do now, in a sentence."""
        if self.word == "NOTHING TO MEASURE":
            return "Use a retrained network, or this one: these attacks cannot tell what is better."
        if self.next_step == "more references" and self.references_wanted is not None:
            return f"Repeat the audit with {self.references_wanted} retrained networks; even these may not decide."
        few = self.word == "INDISTINGUISHABLE" and self.references < ENOUGH_REFERENCES
        return _ADVICE[self.next_step] + _FEW.format(self.references) * few

    def rounded(self, digits: int) -> "Verdict":
        """With that many decimals."""
        return dataclasses.replace(self, comparisons=tuple(_rounded(one, digits) for one in self.comparisons))


_ADVICE: dict[Step, str] = {
    "ship": "No statistic of this verdict speaks against using this network.",
    "more references": f"Repeat the audit with {ENOUGH_REFERENCES} or more retrained networks.",
    "more samples": "Audit several requests together, or use the retrained network itself.",
    "test samples": "Audit with samples that no network was trained on (--test of `obliq train` and `obliq adopt`).",
    "record logits": "Record logits on the device, or probabilities.",
    "other settings": "Use a retrained network itself, or unlearn again with another method or other settings.",
}
_FEW = f" Its error rates were measured with {ENOUGH_REFERENCES} or more retrained networks, not with {{}}."


def passing_in_words(one: Comparison) -> str:
    """The range in which a network passes by this statistic, for instance `to pass: 50.4 to 52.9`."""
    return f"to pass: {range_in_words(*one.passing, _decimals(one, one.value))}"


def value_in_words(one: Comparison, value: float) -> str:
    """A value of a statistic, with as many decimals as tell it from the ends of both ranges."""
    return f"{value:.{_decimals(one, value)}f}"


def interval_in_words(one: Comparison, value: float) -> str:
    """The interval of the retrained networks in words, for instance `retraining: 50.1 to 53.2`.

    Args:
        one: the comparison.
        value: that stands beside the interval; both have the same number of decimals.
    """
    return f"retraining: {range_in_words(one.low, one.high, _decimals(one, value))}"


def range_in_words(low: float | None, high: float | None, digits: int) -> str:
    """A range of which one end may not count, for instance `at most 53.2`."""
    if low is None:
        return f"at most {high:.{digits}f}"
    if high is None:
        return f"at least {low:.{digits}f}"
    return f"{low:.{digits}f} to {high:.{digits}f}"


def _decimals(one: Comparison, value: float) -> int:
    digits = EVERY_STATISTIC[one.name].digits
    ends = [end for end in (one.low, one.high, *(one.passing if one.is_undecided else ())) if end is not None]
    alike = any(f"{value:.{digits}f}" == f"{end:.{digits}f}" for end in ends if end != value)
    return digits + 2 if alike else digits


def _rounded(one: Comparison, digits: int) -> Comparison:
    def short(value: float | None) -> float | None:
        return None if value is None else round(value, digits)

    return dataclasses.replace(
        one,
        value=round(one.value, digits),
        original=round(one.original, digits),
        low=short(one.low),
        high=short(one.high),
        references=tuple(round(value, digits) for value in one.references),
        deviation=round(one.deviation, digits),
    )
