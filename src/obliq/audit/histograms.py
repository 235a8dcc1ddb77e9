"""Distributions coarse enough to publish: no value of a single sample, no role of a few people."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.special import expit

from obliq.audit.measurement import Histogram
from obliq.audit.signals import RoleSignals, Signals

LEAST_SAMPLES = 10
CONFIDENCE_EDGES = (0.0, *(round(float(expit(logit)), 6) for logit in range(-7, 8)), 1.0)  # even in logits
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
    roles = {"forget": answers.forget, "retain": answers.retain, "test": answers.unseen}
    return {
        role: _histogram(values(part), edges) for role, part in roles.items() if len(part) >= LEAST_SAMPLES
    }


def _histogram(values: Float64[ndarray, " samples"], edges: tuple[float, ...]) -> Histogram:
    counts, _ = np.histogram(values, bins=np.asarray(edges))
    return Histogram(edges, tuple(round(int(count) / len(values), 6) for count in counts))
