"""The verdict: what the measurements allow to conclude about forgetting, and when they allow nothing."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from obliq.auditing.intervals import Interval
from obliq.auditing.membership import Separation

Word = Literal["INDISTINGUISHABLE", "REMEMBERED", "OVER-FORGOTTEN", "INCONCLUSIVE"]
MARGIN = 5.0  # points of AUC
MINIMUM_SAMPLES = 20
UNKNOWN_AIM: tuple[Word, str] = (
    "INCONCLUSIVE",
    "The samples of a person, of a class or of a list may differ from unseen data by themselves. Without a retrained "
    "network, the AUC to aim at is therefore unknown.",
)


@dataclass(frozen=True)
class Verdict:
    """One word about one network, with the reason for it.

    Attributes:
        word: see `judge`.
        reason: one or two sentences with the numbers that led to the word.
        reference: the AUC to aim at, in percent: the retrained network's, or 50.
        difference: AUC minus `reference`, in points.
        interval: 95 % interval of `difference`, in points.
        margin: the largest difference, in points, that counts as none.
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
    """Decide whether an attack still separates forget samples from unseen ones, in either direction.

    The rule, in this order:

    1. With a retrained network, its AUC is the aim, because a person or a class may differ from the test
       population by itself. The difference then has DeLong's paired interval. Without one, the aim is 50 and
       the interval is the AUC's own. That is only right when the forget set is `exchangeable` with unseen
       data, as a random share is. For a person, a class or listed samples the verdict is INCONCLUSIVE.
    2. Fewer than 20 samples on either side: INCONCLUSIVE.
    3. The attack has power when the whole interval of the original's difference is above 0. If the attack
       could not separate the samples before unlearning, failing afterwards is no evidence of forgetting.
    4. The margin is `margin`, and with power at most half of the original's difference. The original
       itself therefore never passes.
    5. The whole interval above +margin: REMEMBERED. The whole interval below -margin: OVER-FORGOTTEN.
    6. Without power: INCONCLUSIVE.
    7. The whole interval inside +-margin: INDISTINGUISHABLE, by this attack. Otherwise INCONCLUSIVE.

    One retrained network stands for all of them: the spread of retrained networks over seeds is not in the
    interval.

    Args:
        candidate: the network to judge.
        original: the network before unlearning, on the same samples.
        retrained: the network trained without the forget set, on the same samples, if there is one.
        margin: the largest difference, in points of AUC, that counts as none.
        exchangeable: whether the forget set is a random share of the data.

    Returns:
        The verdict, whose numbers are not rounded.
    """
    reference = retrained.auc if retrained else 50.0
    difference, interval = _against(candidate, retrained)
    before, interval_before = _against(original, retrained)
    powerful = interval_before.low > 0
    if powerful:
        margin = min(margin, before / 2)
    aim = "the retrained network's" if retrained else "50, the value for unseen data"
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
    measured = (
        f"The AUC is {abs(difference):.1f} points {side} {aim} (95 % interval of the difference: "
        f"{_range(interval)})"
    )
    if min(forget, unseen) < MINIMUM_SAMPLES:
        return "INCONCLUSIVE", (
            f"{forget} forgotten and {unseen} unseen samples are too few to decide; at least {MINIMUM_SAMPLES} of "
            "each are needed."
        )
    if interval.low > margin:
        return "REMEMBERED", f"{measured}, so the forgotten samples are still recognised."
    if interval.high < -margin:
        return "OVER-FORGOTTEN", (
            f"{measured}, so the network treats the forgotten samples worse than unseen ones, and that sets them apart."
        )
    if not powerful:
        return "INCONCLUSIVE", (
            "This attack could not separate the forgotten samples from unseen ones before unlearning either "
            f"(difference to {aim}: {_range(before)}). Its failure afterwards is therefore no evidence of forgetting."
        )
    if interval.within(margin):
        return "INDISTINGUISHABLE", (
            f"{measured}, which is within the margin of {margin:.1f} points. Before unlearning, the same attack could "
            "separate the samples."
        )
    return "INCONCLUSIVE", (
        f"{measured}, which reaches beyond the margin of {margin:.1f} points. More samples are needed to decide."
    )


def _against(candidate: Separation, retrained: Separation | None) -> tuple[float, Interval]:
    if retrained is not None:
        return candidate.minus(retrained)
    own = candidate.interval
    return candidate.auc - 50, Interval(own.low - 50, own.high - 50)


def _range(interval: Interval) -> str:
    return f"{interval.low:+.1f} to {interval.high:+.1f}"
