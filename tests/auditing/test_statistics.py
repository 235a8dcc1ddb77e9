"""What single statistics of the verdict measure."""

import dataclasses

import numpy as np
import pytest
import torch

from obliq.auditing import RoleSignals, Signals
from obliq.auditing.signals import Relearned
from obliq.auditing.statistic import Judged
from obliq.auditing.statistics import EVERY_STATISTIC, RELEARNED_GAP

CLASSES, UNSEEN = 10, 3000


def answers(unseen: np.ndarray) -> RoleSignals:
    labels = torch.arange(len(unseen)) % CLASSES
    return RoleSignals(
        **{role: Signals(torch.from_numpy(unseen).float(), labels) for role in ("forget", "retain", "test")}
    )


def judged(candidate: np.ndarray, others: list[np.ndarray], classes: frozenset[int] = frozenset()) -> Judged:
    return Judged(answers(candidate), answers(others[0]), [answers(one) for one in others], classes)


@pytest.fixture
def retrained() -> list[np.ndarray]:
    """Networks that differ along five of nine directions, and hardly along the others."""
    generator = np.random.default_rng(0)
    common = generator.normal(0, 3, (UNSEEN, CLASSES))
    directions = generator.normal(size=(5, CLASSES))
    return [
        common + generator.normal(0, 0.6, (UNSEEN, 5)) @ directions + generator.normal(0, 0.1, common.shape)
        for _ in range(5)
    ]


def test_noise_shows_where_networks_differ_least(retrained: list[np.ndarray]) -> None:
    measure = EVERY_STATISTIC["noise"].measure
    candidate, *others = retrained
    assert measure(judged(candidate, others)) == pytest.approx(2 * np.log(0.1), abs=0.1)
    noisy = candidate + np.random.default_rng(1).normal(0, 0.5, candidate.shape)
    # the mean of the four others varies, too; a network's own variance alone is left
    assert measure(judged(noisy, others)) == pytest.approx(np.log(0.1**2 + 0.5**2 / 1.25), abs=0.1)
    shifted = noisy.copy()
    shifted[:, 3] -= 40  # a class that was forgotten does not count
    both = [measure(judged(one, others, frozenset({3}))) for one in (noisy, shifted)]
    assert both[0] == pytest.approx(both[1])


def test_scatter_does_not_depend_on_the_number_of_other_networks(retrained: list[np.ndarray]) -> None:
    measure = EVERY_STATISTIC["scatter"].measure
    candidate, *others = retrained
    found = [measure(judged(candidate, others[:count])) for count in (1, 2, 4)]
    assert found == pytest.approx([found[0]] * 3, abs=0.1)


def test_a_gap_is_the_difference_of_means_in_standard_deviations() -> None:
    generator = np.random.default_rng(2)

    def signals(mean: float) -> Signals:
        margin, labels = generator.normal(mean, 2.0, 4000), torch.arange(4000) % 2
        logits = np.zeros((4000, 2))
        logits[np.arange(4000), labels.numpy()] = margin
        return Signals(torch.from_numpy(logits).float(), labels)

    relearned = Relearned(forget=signals(3.0), unseen=signals(1.0))
    one = Judged(
        dataclasses.replace(answers(np.ones((20, 2)).repeat(5, 1)), relearned=relearned),
        answers(np.ones((20, 10))),
        [],
    )
    assert RELEARNED_GAP.measure(one) == pytest.approx(1.0, abs=0.06)
    parts = RELEARNED_GAP.parts(one)
    assert RELEARNED_GAP.measure(one) == pytest.approx(parts[0].mean() - parts[1].mean())
