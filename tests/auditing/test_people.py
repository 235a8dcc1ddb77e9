"""Intervals where samples of one person are not independent."""

import numpy as np
import pytest
import torch

from obliq.auditing import Separation, Signals, confidence_separation
from obliq.auditing.accuracy import accuracy_estimate, share_estimate
from obliq.auditing.people import FEWEST_PEOPLE, design_effect
from tests.auditing.synthetic import network

EACH = 12  # samples of a person


def drawn(generator: np.random.Generator, people: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores with as much variance between people as within, and whose they are."""
    whose = np.repeat(np.arange(people), EACH)
    return generator.normal(0, 1, people)[whose] + generator.normal(0, 1, len(whose)), whose


@pytest.mark.parametrize("people", [(6, 8), (10, 30)])
def test_aucs_of_equal_sets_hold_fifty_as_often_as_promised(people: tuple[int, int]) -> None:
    """Two standard errors of 400 draws below 95 %; with samples taken as independent, it is far less."""
    generator = np.random.default_rng(1)
    held = np.zeros(2)
    for _ in range(400):
        (forget, first), (unseen, second) = (drawn(generator, count) for count in people)
        for place, apart in enumerate(
            (Separation(forget, unseen), Separation(forget, unseen, first, second))
        ):
            held[place] += apart.interval.low <= 50 <= apart.interval.high
    alone, by_person = held / 400
    assert by_person >= 0.928
    assert alone < 0.75


@pytest.mark.parametrize("people", [6, 20])
def test_shares_hold_the_true_one_as_often_as_promised(people: int) -> None:
    generator = np.random.default_rng(2)
    held = 0
    for _ in range(400):
        scores, whose = drawn(generator, people)
        interval = share_estimate(scores > 0, whose).interval
        held += interval.low <= 50 <= interval.high
    assert held / 400 >= 0.928


def test_the_effect_is_that_of_resampling_people() -> None:
    """The closed form against the variance of 4,000 bootstrap means over 60 people."""
    generator = np.random.default_rng(3)
    values, whose = drawn(generator, 60)
    sums = np.bincount(whose, weights=values)
    means = [sums[generator.integers(60, size=60)].mean() / EACH for _ in range(4000)]
    assert design_effect([(values, whose)]) == pytest.approx(
        np.var(means) / (values.var() / len(values)), rel=0.15
    )


def test_one_effect_where_there_is_nothing_to_widen() -> None:
    generator = np.random.default_rng(4)
    values = generator.normal(size=60)
    few = np.arange(60) % (FEWEST_PEOPLE - 1)
    for people in (None, few, np.arange(60)):
        assert design_effect([(values, people)]) == 1
    assert design_effect([(values, np.arange(60) % 12)]) >= 1
    assert 1 < design_effect([(np.ones(60), np.arange(60) % 6)]) < 3  # nothing varies; few people remain few


def test_signals_know_whose_their_samples_are() -> None:
    labels = torch.arange(100) % 2
    logits = torch.zeros(100, 2)
    logits[torch.arange(100), torch.where(torch.arange(100) < 50, labels, 1 - labels)] = 1
    by_halves = Signals(logits, labels, torch.arange(100) // 10)
    mixed = Signals(logits, labels, torch.full((100,), -1))
    wide, narrow = (accuracy_estimate(one).interval for one in (by_halves, mixed))
    assert wide.half_width > 2 * narrow.half_width
    assert narrow == accuracy_estimate(Signals(logits, labels)).interval
    part = by_halves.where(np.arange(100) < 30)
    assert part.people.tolist() == (np.arange(30) // 10).tolist()


def test_a_difference_of_networks_widens_too() -> None:
    first, second = (confidence_separation(network(2.0, seed)) for seed in (1, 2))
    count, others = len(first.forget), len(first.unseen)
    people = (np.arange(count) // 40, np.arange(others) // 40)
    grouped = [Separation(one.forget, one.unseen, *people) for one in (first, second)]
    alone, by_person = first.minus(second), grouped[0].minus(grouped[1])
    assert alone[0] == by_person[0]
    assert by_person[1].half_width >= alone[1].half_width
