"""Coarse histograms of a network's confidence and entropy, which an audit holds in place of single samples' values."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from obliq.auditing.signals import RoleSignals, Signals


@dataclass(frozen=True)
class Histogram:
    """Shares of samples between edges, kept instead of the values of single samples.

    Attributes:
        edges: rising, one more than shares.
        shares: of all samples, adding up to 1.
    """

    edges: tuple[float, ...]
    shares: tuple[float, ...]


MINIMUM_FOR_HISTOGRAM = 10  # a share of fewer samples would point at people
# Confidence bins are even in log-odds, one logit wide from -7 to 7, because trained networks crowd near 1. The first
# and the last bin hold everything beyond.
CONFIDENCE_EDGES = (0.0, *(round(1 / (1 + math.exp(-logit)), 6) for logit in range(-7, 8)), 1.0)
# Entropy bins are even between 0 (certain) and 1 (uniform).
ENTROPY_EDGES = tuple(round(step / 20, 2) for step in range(21))


def confidence_histograms(answers: RoleSignals) -> dict[str, Histogram]:
    """True-class confidence in the roles forget, retain and test (of the forget set's classes)."""
    return _by_role(answers, CONFIDENCE_EDGES, lambda signals: signals.confidence)


def entropy_histograms(answers: RoleSignals) -> dict[str, Histogram]:
    """Entropy over log C in the same roles."""
    return _by_role(answers, ENTROPY_EDGES, lambda signals: signals.normalised_entropy)


def _by_role(
    answers: RoleSignals, edges: tuple[float, ...], values: Callable[[Signals], ndarray]
) -> dict[str, Histogram]:
    if answers.classes_alone:
        return {}
    roles = {"forget": answers.forget, "retain": answers.retain}
    if answers.test is not None:
        roles["test"] = answers.unseen
    return {
        role: _histogram(values(part), edges)
        for role, part in roles.items()
        if len(part) >= MINIMUM_FOR_HISTOGRAM
    }


def _histogram(values: Float64[ndarray, " samples"], edges: tuple[float, ...]) -> Histogram:
    counts, _ = np.histogram(values, bins=np.asarray(edges))
    return Histogram(edges, tuple(round(int(count) / len(values), 6) for count in counts))
