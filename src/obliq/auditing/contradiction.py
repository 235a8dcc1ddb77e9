"""What in an audit contradicts itself: a verdict that is not the one of its numbers, or numbers that do not agree.

Such an audit was altered after it was measured. One that was altered in all places alike does not contradict itself;
only measuring again shows that.
"""

import dataclasses
import itertools

from obliq.auditing.measured_values import DIGITS
from obliq.auditing.measurement import Measurement
from obliq.auditing.reference_comparison import FORMER_DOUBT, Comparison
from obliq.auditing.statistics import EVERY_STATISTIC
from obliq.auditing.variation import reach
from obliq.auditing.verdict_rules import decide

ROUNDING = 10.0**-DIGITS
MOST_ERROR = 0.05 + 1e-9
"""Of all statistics of a verdict together."""


def contradiction(entry: Measurement) -> str:
    """What shows that a verdict is not the one of what was measured, in words; empty where all agrees.

    The numbers are those that `audit.json` keeps, with `DIGITS` decimals, and the verdict was decided before they were
    rounded. So a word is accepted if values within the rounding lead to it. Fewer networks passed by audits of version
    4, whose INCONCLUSIVE is accepted.
    """
    verdict = entry.verdict
    if verdict is None:
        return ""
    found, count = verdict.comparisons, verdict.references
    words = {"DAMAGED", "REMEMBERED", "OVER-FORGOTTEN", "INCONCLUSIVE"}
    if not found:
        if verdict.word in words:
            return ""
        return (
            f"the verdict on {entry.name} is {verdict.word}, and it lists no comparison with retrained networks; "
            f"expected one of {', '.join(sorted(words))}"
        )
    for one in found:
        if problem := _disagreement(one, count, entry.values.get(one.name)):
            return f"{entry.name}: {one.name} {problem}"
    if sum(one.error for one in found) > MOST_ERROR:
        return f"{entry.name}: its statistics refuse more than 5 of 100 retrained networks"
    nudges = (0.0, 2 * ROUNDING, -2 * ROUNDING)
    moved = [[_nudged(one, value, original) for one in found] for value in nudges for original in nudges]
    words = {decide(one, count)[0] for one in moved}
    passed_no_more = any(one.lies_beyond(FORMER_DOUBT[one.kind]) for one in itertools.chain(*moved))
    if "INDISTINGUISHABLE" in words and passed_no_more:
        words.add("INCONCLUSIVE")
    if entry.device is not None and entry.device.recorded == "classes":
        words.add("INCONCLUSIVE")
    if verdict.word in words:
        return ""
    return (
        f"the verdict on {entry.name} is {verdict.word}, and its numbers lead to {' or '.join(sorted(words))}"
    )


def _disagreement(one: Comparison, count: int, measured: object) -> str:
    """Where a comparison disagrees with the verdict, with its own numbers or with the table of the audit."""
    if len(one.references) != count:
        return f"has {len(one.references)} retrained networks, the verdict {count}"
    if isinstance(measured, int | float) and abs(measured - one.value) > 2 * ROUNDING:
        return f"is {one.value:g} in the verdict and {measured:g} in the table"
    widths = reach(count, one.freedom, one.error, one.sides)
    slack = (2 + widths) * ROUNDING
    lowest, highest = EVERY_STATISTIC[one.name].bounds
    ends = (
        (one.low, max(one.centre - widths * one.deviation, lowest)),
        (one.high, min(one.centre + widths * one.deviation, highest)),
    )
    for stated, computed in ends:
        if stated is not None and abs(stated - computed) > slack:
            return f"has a range that ends at {stated:g}, and its retrained networks lead to {computed:g}"
    return ""


def _nudged(one: Comparison, value: float, original: float) -> Comparison:
    """With the network, and that before unlearning, so much further from the mean of the retrained networks."""
    return dataclasses.replace(
        one,
        value=one.value + (value if one.deviations > 0 else -value),
        original=one.original + (original if one.original_deviations > 0 else -original),
    )
