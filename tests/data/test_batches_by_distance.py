"""Draws favour who has further to go."""

import itertools

import pytest
import torch

from obliq.data import Collection, Examples
from obliq.data.batches import batches_by_distance

NUMBERED = Collection(
    "numbered", torch.arange(40.0).reshape(40, 1), torch.arange(40) % 4, None, class_names=tuple("abcd")
)
FORGET = Examples(NUMBERED, torch.arange(10, 30))
HERE = torch.device("cpu")


def draws(distances: torch.Tensor, size: int, count: int, seed: int = 0) -> list[tuple[torch.Tensor, ...]]:
    endless = batches_by_distance(FORGET, distances, size, torch.Generator().manual_seed(seed), HERE)
    return list(itertools.islice(endless, count))


def test_positions_are_those_of_the_samples() -> None:
    for inputs, labels, positions in draws(torch.rand(20), 8, 5):
        assert len(set(positions.tolist())) == 8
        assert torch.equal(labels, FORGET.labels[positions])
        assert torch.equal(inputs, NUMBERED.inputs[FORGET.indices[positions]])


@pytest.mark.parametrize("distance", [0.0, 0.3])
def test_equal_distances_are_drawn_evenly(distance: float) -> None:
    counts = torch.zeros(20)
    for _, _, positions in draws(torch.full((20,), distance), 1, 4000):
        counts[positions] += 1
    assert counts.min() > 120
    assert counts.max() < 290


@pytest.mark.parametrize(("size", "share"), [(1, 0.525), (8, 1.0), (20, 1.0)])
def test_who_has_all_of_the_distance_comes_more_often_and_nobody_twice(size: int, share: float) -> None:
    distances = torch.zeros(20)
    distances[3] = 0.5
    counts = torch.zeros(20)
    for _, _, positions in draws(distances, size, 4000 // size):
        counts[positions] += 1
    # of one sample a batch (1 + 20) / (20 + 20); of more, in nearly every batch
    assert abs(float(counts[3]) / (4000 // size) - share) < 0.05
    assert counts.min() > 50


def test_the_seed_decides_and_a_batch_is_at_most_the_set() -> None:
    distances = torch.rand(20, generator=torch.Generator().manual_seed(1))
    once, again, other = (draws(distances, 64, 3, seed)[2][2] for seed in (1, 1, 2))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert sorted(once.tolist()) == list(range(20))
