"""The rules of the verdict: what the measurements allow to conclude about forgetting, and when they allow nothing."""

from collections.abc import Sequence

from obliq.auditing.accuracy import paired_accuracy_difference
from obliq.auditing.intervals import Interval
from obliq.auditing.membership import Separation, confidence_separation
from obliq.auditing.reference_comparison import Comparison, compare_with_references
from obliq.auditing.signals import RoleSignals
from obliq.auditing.statistic import Judged
from obliq.auditing.statistics import EVERY_STATISTIC
from obliq.auditing.variation import references_to_exceed
from obliq.auditing.verdict import ENOUGH_REFERENCES, Step, Verdict, Word, interval_in_words, value_in_words

MARGIN = 5.0  # points of AUC; without several retrained networks
DAMAGE = 5.0  # points of test accuracy; without several retrained networks
MINIMUM_SAMPLES = 20


def judge(
    candidate: RoleSignals,
    original: RoleSignals,
    references: Sequence[RoleSignals] = (),
    *,
    forgotten_classes: frozenset[int] = frozenset(),
    exchangeable: bool = True,
) -> Verdict:
    """Decide whether a network can be told apart from retrained ones.

    With two or more retrained networks, in this order:

    1. No test samples, or fewer than 20 forget or unseen samples: INCONCLUSIVE.
    2. An accuracy below the interval of the retrained networks (see `compare_with_references`): DAMAGED, and whether
       statistics of memory are outside as well. Where the original lies below it, too, the accuracy must also have
       fallen from the original's by half the interval.
    3. A statistic of memory outside: above, as for samples that a network was trained on, REMEMBERED; below,
       OVER-FORGOTTEN. The statistic that is furthest outside decides.
    4. Other properties of the answers to unseen samples outside, as noise or a temperature cause: DAMAGED. Where the
       original lies outside on the same side, they must also be further away by half the interval.
    5. The original lies within the intervals of every statistic of memory. If its distance would be outside with more
       retrained networks, INCONCLUSIVE; otherwise NOTHING TO MEASURE: these attacks have no power.
    6. An accuracy or another property of the answers that the original shares, as in 2 and 4: INCONCLUSIVE.
    7. To pass, each statistic must lie within the narrower interval that leaves out `DOUBT` of the retrainings for
       this statistic alone. Where the original lies outside, the candidate must also be nearer to the retrained
       networks' mean than to the original. Then INDISTINGUISHABLE, by these attacks; otherwise INCONCLUSIVE.

    With fewer, see `_judge_by_few`. INDISTINGUISHABLE and NOTHING TO MEASURE are then never reached, nor where only the
    classes of a candidate's answers are known, which accuracies judge.

    Args:
        candidate: the network to judge.
        original: the network before unlearning, on the same samples.
        references: networks retrained without the forget set, on the same samples.
        forgotten_classes: classes of which nothing is retained.
        exchangeable: whether the forget set is a random share of the data.

    Returns:
        The verdict, whose numbers are not rounded.
    """
    count = len(references)
    if candidate.test is None:
        reason = "Without test samples, forgotten samples cannot be compared with unseen ones."
        return Verdict("INCONCLUSIVE", reason, "test samples", count)
    forget, unseen = len(candidate.forget), len(candidate.unseen)
    if min(forget, unseen) < MINIMUM_SAMPLES:
        reason = (
            f"{forget} forgotten and {unseen} unseen samples of the same classes are too few to decide; at least "
            f"{MINIMUM_SAMPLES} of each are needed."
        )
        return Verdict("INCONCLUSIVE", reason, "more samples", count)
    if count < 2:
        return _judge_by_few(candidate, original, references, forgotten_classes, exchangeable)
    comparisons = compare_with_references(candidate, original, references, forgotten_classes)
    word, reason, step, wanted = decide(comparisons, count)
    if candidate.classes_alone and word not in ("DAMAGED", "REMEMBERED", "OVER-FORGOTTEN"):
        return Verdict("INCONCLUSIVE", _CLASSES_ALONE, "record logits", count, None, comparisons)
    return Verdict(word, reason, step, count, wanted, comparisons)


def decide(comparisons: Sequence[Comparison], count: int) -> tuple[Word, str, Step, int | None]:
    """The word that statistics next to `count` retrained networks lead to, why, what to do, and how many would decide.

    The rules are those of `judge`.
    """
    out: dict[str, list[Comparison]] = {kind: [] for kind in ("utility", "memory", "answers")}
    inherited = []
    for one in comparisons:
        if one.outside(one.value) and one.kind != "memory" and one.is_no_worse_than_original:
            inherited.append(one)
        elif one.outside(one.value):
            out[one.kind].append(one)
    memory = [one for one in comparisons if one.kind == "memory"]
    powerful = [one for one in memory if one.outside(one.original)]
    if out["utility"]:
        return "DAMAGED", _described(out["utility"]) + _also_memory(out["memory"]), "other settings", None
    if out["memory"]:
        first = max(out["memory"], key=lambda one: abs(one.deviations))
        word: Word = "REMEMBERED" if first.deviations > 0 else "OVER-FORGOTTEN"
        return word, _described(out["memory"]) + ("" if powerful else _MOVED_OUT), "other settings", None
    if out["answers"]:
        return "DAMAGED", _described(out["answers"]), "other settings", None
    if not powerful:
        return _without_power(memory, count)
    if inherited:
        reason = (
            f"{_described(inherited)} The network before unlearning lies outside, too, so that unlearning need not be "
            "the cause. Check that the retrained networks had the recipe of the original; no setting of the method "
            "changes that."
        )
        return (
            "INCONCLUSIVE",
            reason,
            "more references" if count < ENOUGH_REFERENCES else "other settings",
            None,
        )
    undecided = [one for one in comparisons if one.is_undecided]
    if undecided:
        wanted = _references_for([one.deviations for one in undecided], undecided, count)
        reason = (
            f"All values lie within the range of {count} retrained networks, but too far from their mean to pass: "
            f"{_named(undecided)}."
        )
        return "INCONCLUSIVE", reason, "more references" if wanted else "other settings", wanted
    strongest = max(powerful, key=lambda one: abs(one.original_deviations))
    reason = (
        f"All {len(comparisons)} statistics lie within the range of {count} retrained networks. The network before "
        f"unlearning was {abs(strongest.original_deviations):.1f} standard deviations away from their mean "
        f"({_named([strongest])})."
    )
    return "INDISTINGUISHABLE", reason, "ship", None


def _without_power(memory: Sequence[Comparison], count: int) -> tuple[Word, str, Step, int | None]:
    """The original lies within the intervals: because there is no trace, or because there are too few references."""
    furthest = max(memory, key=lambda one: abs(one.original_deviations) * one.error)
    needed = [(_references_for([one.original_deviations], [one], count), one) for one in memory]
    enough = [(number, one) for number, one in needed if number is not None]
    before = f"The network before unlearning already lies within the range of {count} retrained networks"
    if enough:
        wanted, first = min(enough, key=lambda one: one[0])
        return (
            "INCONCLUSIVE",
            f"{before}, which is wide because they are few. It is {abs(first.original_deviations):.1f} of their "
            f"standard deviations away from their mean ({_named([first])}), which about {wanted} networks would show "
            "to be a trace.",
            "more references",
            wanted,
        )
    return (
        "NOTHING TO MEASURE",
        f"{before} (for instance {_described([furthest], original=True).rstrip('.')}). These attacks cannot tell that "
        "network from a retrained one, so they can show neither memory nor forgetting.",
        "ship",
        None,
    )


def _references_for(deviations: Sequence[float], among: Sequence[Comparison], count: int) -> int | None:
    """The smallest number of references, above `count`, that puts one of these distances outside its interval."""
    needed = [
        references_to_exceed(distance, one.prior_freedom, one.error, one.sides)
        for distance, one in zip(deviations, among, strict=True)
    ]
    found = min((number for number in needed if number is not None), default=None)
    return None if found is None else max(found, count + 2)


def _also_memory(which: Sequence[Comparison]) -> str:
    """Whether a damaged network remembers, in a sentence that follows others; empty where nothing is outside."""
    if not which:
        return ""
    above = any(one.deviations > 0 for one in which)
    how = "still recognised" if above else "treated worse than by retrained networks, too"
    return f" The forgotten samples are {how}: {_described(which)}"


def _named(which: Sequence[Comparison]) -> str:
    return "; ".join(EVERY_STATISTIC[one.name].words for one in which)


def _described(which: Sequence[Comparison], *, original: bool = False) -> str:
    """Each statistic with its value and the interval of the retrained networks, in a sentence."""
    parts = []
    for one in which:
        statistic = EVERY_STATISTIC[one.name]
        value = one.original if original else one.value
        parts.append(f"{statistic.words}: {value_in_words(one, value)} ({interval_in_words(one, value)})")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _judge_by_few(
    candidate: RoleSignals,
    original: RoleSignals,
    references: Sequence[RoleSignals],
    forgotten_classes: frozenset[int],
    exchangeable: bool,
) -> Verdict:
    """Decide what can be decided without knowing how much retraining varies.

    1. A test accuracy, over classes that are retained, that is more than 5 points below the retrained network's
       (without one: the original's), with the whole interval of the paired difference: DAMAGED.
    2. Without a retrained network, the AUC to aim at is 50 for a random share of the data, and unknown for a person, a
       class or a list: INCONCLUSIVE.
    3. The AUC further than 5 points above the aim, with its whole interval, and nearer to the original's than to the
       aim: REMEMBERED. As far below it: OVER-FORGOTTEN.
    4. Otherwise INCONCLUSIVE: one retrained network does not show where the next would lie.
    """
    count = len(references)
    compared = references[0] if references else original
    kept = Judged(candidate, original, (), forgotten_classes).kept
    if kept.any():
        loss, interval = paired_accuracy_difference(candidate.tested.where(kept), compared.tested.where(kept))
        if interval.high < -DAMAGE:
            whose = "the retrained network's" if references else "the original's"
            reason = (
                f"The accuracy on unseen samples is {-loss:.1f} points below {whose} ({_range(interval)})."
            )
            return Verdict("DAMAGED", reason, "other settings", count)
    if candidate.classes_alone:
        return Verdict("INCONCLUSIVE", _CLASSES_ALONE, "record logits", count)
    if not references and not exchangeable:
        return Verdict("INCONCLUSIVE", _UNKNOWN_AIM, "more references", count, ENOUGH_REFERENCES)
    mine, before = confidence_separation(candidate), confidence_separation(original)
    theirs = confidence_separation(references[0]) if references else None
    difference, interval = _auc_against(mine, theirs)
    aim = "the retrained network's" if references else "50, the value for unseen data"
    side = "above" if difference >= 0 else "below"
    reached = f"95 % interval of the difference: {_range(interval)}"
    measured = f"The AUC is {abs(difference):.1f} points {side} {aim} ({reached})"
    nearer = abs(mine.auc - before.auc) < abs(difference)
    if interval.low > MARGIN and nearer:
        reason = f"{measured}, and nearer to the network before unlearning. The forgotten samples are still recognised."
        return Verdict("REMEMBERED", reason, "other settings", count)
    if interval.high < -MARGIN:
        reason = f"{measured}. The network treats the forgotten samples worse than unseen ones."
        return Verdict("OVER-FORGOTTEN", reason, "other settings", count)
    known = (
        "One retrained network does not show" if references else "Without retrained networks it is not known"
    )
    return Verdict(
        "INCONCLUSIVE",
        f"{measured}. {known} how much retraining varies by chance, so this cannot show that the network is like "
        "a retrained one.",
        "more references",
        count,
        ENOUGH_REFERENCES,
    )


_MOVED_OUT = " The network before unlearning lay within every such range; unlearning moved it out."
_CLASSES_ALONE = (
    "Only the classes of the answers were recorded. The attacks need confidences, so this cannot show whether "
    "samples are recognised."
)
_UNKNOWN_AIM = (
    "The samples of a person, of a class or of a list may differ from unseen data by themselves. Without a retrained "
    "network, there is no value to aim at."
)


def _auc_against(candidate: Separation, retrained: Separation | None) -> tuple[float, Interval]:
    if retrained is not None:
        return candidate.minus(retrained)
    own = candidate.interval
    return candidate.auc - 50, Interval(own.low - 50, own.high - 50)


def _range(interval: Interval) -> str:
    return f"{interval.low:+.1f} to {interval.high:+.1f}"
