"""What `obliq audit --require` demands of a network: a verdict, or bounds on the metrics of the table."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from obliq.auditing import Audit, Interval, Measurement
from obliq.auditing.measured_values import metrics_in
from obliq.auditing.metric import Metric
from obliq.auditing.metrics import COST
from obliq.cli.tables import number, table
from obliq.errors import AuditError
from obliq.io.known_names import CLOSE, nearest_names
from obliq.io.slug import slug

VERDICT = "indistinguishable"
DISTANCE = "-distance"
"""At the end of a name: the absolute difference to the value to aim at, instead of the value itself."""

_BOUND = re.compile(r"([a-z0-9 ._%,-]+?)\s*(<=|>=)\s*(-?[0-9]{1,9}(?:\.[0-9]{1,9})?)", flags=re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """One demand.

    Attributes:
        text: as the user typed it.
        metric: what the bound is on; None for a demand on the verdict.
        distance: whether the bound is on the distance to the value to aim at.
        at_most: whether the bound is an upper one.
        bound: in the unit of the metric.
    """

    text: str
    metric: Metric | None = None
    distance: bool = False
    at_most: bool = True
    bound: float = 0.0

    @property
    def needs_retrained(self) -> bool:
        """Whether there is no value without a retrained network, whatever the request."""
        if self.metric is None:
            return False
        return self.metric.compare is not None or (self.distance and self.metric.target.chance is None)


@dataclass(frozen=True, kw_only=True)
class RequirementResult:
    """What was measured for one demand.

    Attributes:
        requirement: the demand, as the user typed it.
        network: name of the network that was measured.
        value: the measured number, or the word of the verdict; None where there is none.
        interval: 95 % interval of the number, if it has one. That of a distance takes the value to aim at as known.
        met: whether the value meets the demand. The interval does not decide.
    """

    requirement: str
    network: str
    value: float | str | None
    interval: Interval | None
    met: bool


def parse_requirement(text: str) -> Requirement:
    """Read a demand such as `indistinguishable`, `avg-gap<=2`, `auc-distance<=1.5` or `ta>=90`.

    Raises:
        AuditError: for an unknown name, with a suggestion, and for what is no bound.
    """
    if text.strip().lower() == VERDICT:
        return Requirement(text=text)
    found = _BOUND.fullmatch(text.strip())
    if found is None:
        near = _suggestion(re.split("[<>=]", text)[0], [VERDICT, *_names()])
        raise AuditError(
            f"--require {text!r};{near} expected {VERDICT}, or a bound in quotes such as 'avg-gap<=2' or 'ta>=90'"
        )
    name, sign, bound = found.groups()
    names = _names()
    if slug(name) not in names:
        raise AuditError(
            f"--require {text!r}: there is no metric {name!r};{_suggestion(name, list(names))} expected "
            f"{', '.join(slug(metric.label) for metric in metrics_in('audit'))} or a name of audit.json"
        )
    metric, distance = names[slug(name)]
    return Requirement(text=text, metric=metric, distance=distance, at_most=sign == "<=", bound=float(bound))


def check_requirements(required: Sequence[Requirement], audit: Audit) -> list[RequirementResult]:
    """Compare the first network that unlearned with every demand, and the answers of a device if there are any."""
    entries = [audit.unlearned[0], *(entry for entry in audit.devices if entry is not audit.unlearned[0])]
    return [_checked(one, entry, audit) for entry in entries for one in required]


def requirement_lines(results: Sequence[RequirementResult]) -> list[str]:
    """A table of the demands; nothing without any."""
    rows, several = [], len({one.network for one in results}) > 1
    for one in results:
        value = one.value if isinstance(one.value, str) else number(one.value, 2)
        ends = "-" if one.interval is None else f"{one.interval.low:.2f} to {one.interval.high:.2f}"
        rows.append(
            [
                f"{one.network}: {one.requirement}" if several else one.requirement,
                value,
                ends,
                "yes" if one.met else "NO",
            ]
        )
    return ["", *table(["required", "measured", "95 % interval", "met"], rows)] if rows else []


def unmet(results: Sequence[RequirementResult]) -> str:
    """What was demanded and is not so, in one line; empty when every demand is met."""
    parts = []
    for one in results:
        if one.met:
            continue
        if isinstance(one.value, str):
            parts.append(f"{one.network} is {one.value}; expected {one.requirement.upper()} (--require)")
        elif one.value is None:
            parts.append(f"{one.network} has no value for {one.requirement} (--require)")
        else:
            within = "" if one.interval is None else f" ({one.interval.low:.2f} to {one.interval.high:.2f})"
            parts.append(f"{one.network} has {one.value:.2f}{within}; expected {one.requirement} (--require)")
    return "; ".join(parts)


def _checked(one: Requirement, entry: Measurement, audit: Audit) -> RequirementResult:
    if one.metric is None:
        word = None if entry.verdict is None else entry.verdict.word
        return RequirementResult(
            requirement=one.text,
            network=entry.name,
            value=word,
            interval=None,
            met=word == VERDICT.upper(),
        )
    value, interval = entry.values[one.metric.name], entry.intervals.get(one.metric.name)
    if one.distance:
        value, interval = _distance(value, interval, _aim(one.metric, audit))
    met = value is not None and (value <= one.bound if one.at_most else value >= one.bound)
    return RequirementResult(
        requirement=one.text, network=entry.name, value=value, interval=interval, met=met
    )


def _aim(metric: Metric, audit: Audit) -> float | None:
    if audit.retrained is not None:
        return audit.retrained.values[metric.name]
    return metric.target.chance if audit.aim == "chance" else None


def _distance(
    value: float | None, interval: Interval | None, aim: float | None
) -> tuple[float | None, Interval | None]:
    """The distance to a value, and the smallest and largest within the interval."""
    if value is None or aim is None:
        return None, None
    distance = round(abs(value - aim), 4)
    if interval is None:
        return distance, None
    ends = [abs(interval.low - aim), abs(interval.high - aim)]
    lowest = 0.0 if interval.low <= aim <= interval.high else min(ends)
    return distance, Interval(lowest, max(ends)).rounded(4)


def _names() -> Mapping[str, tuple[Metric, bool]]:
    """Every name of a bound, by label and by field of audit.json; and whether it is a distance."""
    found: dict[str, tuple[Metric, bool]] = {}
    for metric in metrics_in("audit"):
        for name in (slug(metric.label), slug(metric.name)):
            found[name] = metric, False
            if metric.measure is not None and metric.group != COST:
                found[name + DISTANCE] = metric, True
    return found


def _suggestion(name: str, known: Sequence[str]) -> str:
    near = nearest_names(slug(name), known, CLOSE, most=1)
    return f" did you mean '{near[0]}'?" if near else ""
