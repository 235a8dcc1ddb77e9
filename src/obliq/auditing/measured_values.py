"""The table of metrics applied: which metrics a place shows, and the values of one network."""

from collections.abc import Sequence
from typing import Any

from obliq.auditing.intervals import Estimate
from obliq.auditing.metric import Evidence, Metric, Place, Values
from obliq.auditing.metrics import METRICS

DIGITS = 4  # decimals that are kept: far below what any number of samples resolves


def metrics_in(place: Place) -> tuple[Metric, ...]:
    """The metrics that a place shows or stores, in the order of the table."""
    return tuple(metric for metric in METRICS.values() if place in metric.places)


def measure_alone(network: Evidence) -> dict[str, Estimate]:
    """Every metric that needs no retrained network and has a value, rounded to `DIGITS` decimals."""
    found = {}
    for metric in METRICS.values():
        measure = metric.measure if metric.of_classes or not network.answers.classes_alone else None
        value = None if measure is None else measure(network)
        if value is not None:
            found[metric.name] = (value if isinstance(value, Estimate) else Estimate(float(value))).rounded(
                DIGITS
            )
    return found


def compare_with_retrained(values: Values, retrained: Values) -> dict[str, float]:
    """Every metric that is measured from the retrained network and has a value, rounded to `DIGITS` decimals."""
    found = {
        metric.name: metric.compare(values, retrained)
        for metric in METRICS.values()
        if metric.compare is not None
    }
    return {name: round(float(value), DIGITS) for name, value in found.items() if value is not None}


class HasMetrics:
    """Gives values as attributes: `entry.average_gap` reads `entry.values["average_gap"]`."""

    values: Values

    def __getattr__(self, name: str) -> Any:
        """The value of the metric of this name; None where the network has none."""
        if name.startswith("_") or name not in METRICS:
            raise AttributeError(f"{type(self).__name__} has no attribute or metric {name!r}")
        return self.values.get(name)

    def __dir__(self) -> Sequence[str]:
        return [*super().__dir__(), *METRICS]
