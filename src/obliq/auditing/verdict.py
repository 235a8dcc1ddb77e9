"""What may be said about forgetting, and when nothing may be said."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from obliq.auditing.intervals import Interval
from obliq.auditing.membership import Separation

Word = Literal["INDISTINGUISHABLE", "REMEMBERED", "OVER-FORGOTTEN", "INCONCLUSIVE"]
MARGIN = 5.0
LEAST_SAMPLES = 20
UNKNOWN_AIM: tuple[Word, str] = (
    "INCONCLUSIVE",
    "A person, a class or listed samples may differ from unseen data by themselves, so without a retrained "
    "network it is not known what to aim at.",
)


@dataclass(frozen=True)
class Verdict:
    """One word about one network, and one sentence that gives the reason.

    Attributes:
        word: see `judge`.
        reason: a sentence with the numbers that led to the word.
        reference: the AUC that is aimed at, in percent: the retrained network's, or 50.
        difference: AUC minus `reference`, in points.
        interval: 95 % interval of `difference`.
        margin: how far, in points, counts as no difference here.
    """

    word: Word
    reason: str
    reference: float
    difference: float
    interval: Interval
    margin: float

    def rounded(self, digits: int) -> "Verdict":
        """With that many decimals."""
        return dataclasses.replace(
            self,
            reference=round(self.reference, digits),
            difference=round(self.difference, digits),
            interval=self.interval.rounded(digits),
            margin=round(self.margin, digits),
        )


def judge(
    candidate: Separation,
    original: Separation,
    retrained: Separation | None,
    margin: float = MARGIN,
    *,
    exchangeable: bool = True,
) -> Verdict:
    """Decide whether forget samples can still be told from unseen ones, in either direction.

    The rule, in this order:

    1. The aim is the retrained network's AUC where there is one, since a person or a class may differ
       from the test population by itself; the difference then has DeLong's paired interval. Otherwise
       the aim is 50 and the interval is the AUC's own; that is only right when the forget set is
       `exchangeable` with unseen data, as a random share is: for a person, a class or listed samples
       without a retrained network the verdict is INCONCLUSIVE.
    2. Fewer than 20 samples on either side: INCONCLUSIVE.
    3. The attack has power when the original's difference is above 0 with its whole interval.
       It must have seen something before, or seeing nothing afterwards means nothing.
    4. The margin is `margin`, and with power at most half of the original's difference:
       a network that did nothing never passes.
    5. The interval wholly above +margin: REMEMBERED; wholly below -margin: OVER-FORGOTTEN.
    6. Without power: INCONCLUSIVE.
    7. The interval wholly inside +-margin: INDISTINGUISHABLE, by this attack. Otherwise INCONCLUSIVE.

    One retrained network stands for all of them: their spread over seeds is not in the interval.
    """
    reference = retrained.auc if retrained else 50.0
    difference, interval = _against(candidate, retrained)
    before, interval_before = _against(original, retrained)
    powerful = interval_before.low > 0
    if powerful:
        margin = min(margin, before / 2)
    aim = "the retrained network's" if retrained else "50, the value of unseen data"
    if retrained is None and not exchangeable:
        word, reason = UNKNOWN_AIM
    else:
        word, reason = _decide(candidate, aim, difference, interval, interval_before, margin, powerful)
    return Verdict(word, reason, reference, difference, interval, margin)


def _decide(
    candidate: Separation,
    aim: str,
    difference: float,
    interval: Interval,
    before: Interval,
    margin: float,
    powerful: bool,
) -> tuple[Word, str]:
    forget, unseen = len(candidate.forget), len(candidate.unseen)
    side = "above" if difference >= 0 else "below"
    spread = f"95 % interval of the difference {_spoken(interval)}"
    measured = f"The AUC lies {abs(difference):.1f} points {side} {aim} ({spread})"
    if min(forget, unseen) < LEAST_SAMPLES:
        return "INCONCLUSIVE", (
            f"{forget} forgotten and {unseen} unseen samples are too few to tell; "
            f"at least {LEAST_SAMPLES} of each are needed."
        )
    if interval.low > margin:
        return "REMEMBERED", f"{measured}: forgotten samples are still recognised."
    if interval.high < -margin:
        return (
            "OVER-FORGOTTEN",
            f"{measured}: forgotten samples stand out by being treated worse than unseen ones.",
        )
    if not powerful:
        return "INCONCLUSIVE", (
            "Even before unlearning this attack could not tell the forgotten samples from unseen ones "
            f"(difference to {aim} {_spoken(before)}), so that it cannot tell afterwards shows nothing."
        )
    if interval.within(margin):
        return (
            "INDISTINGUISHABLE",
            f"{measured}, inside the margin of {margin:.1f}; before unlearning, the same attack had power.",
        )
    return (
        "INCONCLUSIVE",
        f"{measured}, which reaches beyond the margin of {margin:.1f}: more samples would be needed.",
    )


def _against(candidate: Separation, retrained: Separation | None) -> tuple[float, Interval]:
    if retrained is not None:
        return candidate.minus(retrained)
    own = candidate.interval
    return candidate.auc - 50, Interval(own.low - 50, own.high - 50)


def _spoken(interval: Interval) -> str:
    return f"{interval.low:+.1f} to {interval.high:+.1f}"
