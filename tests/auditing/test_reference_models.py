import dataclasses

import numpy as np
import pytest
import torch
from scipy.special import expit

from obliq.auditing import compute_signals, memorisation_scores
from obliq.auditing.reference_models import (
    reference_halves,
    select_answers,
    stack_answers,
    train_reference_network,
)
from obliq.checkpoints import Blueprint
from obliq.data import Collection, Examples, Partition, PartitionRule, Splits, partition
from obliq.errors import DataError
from obliq.quantization import Precision
from obliq.run import Run
from obliq.training.loop import Recipe
from tests.conftest import make_collection

CPU = torch.device("cpu")
SHAPE = {"architecture": "convnet", "input_shape": (1, 6, 6), "classes": 3}
FORM = Blueprint(**SHAPE).build()
SHORT = Recipe(epochs=1, batch_size=32)


def without_people(collection: Collection) -> Collection:
    return dataclasses.replace(collection, subjects=None)


@pytest.fixture(scope="module")
def everyone() -> Partition:
    return partition(without_people(make_collection(noise=0.3)), PartitionRule(seed=1, holdout=0.2, test=0.2))


@pytest.mark.parametrize("people", [True, False])
def test_halves_are_complementary_and_deterministic(people: bool) -> None:
    whole = make_collection()
    collection = whole if people else without_people(whole)
    train = Examples(collection, torch.arange(3, 203))
    halves = reference_halves(train, 6, seed=4)
    seen = torch.stack([torch.isin(train.indices, half.indices) for half in halves])
    assert (seen.sum(dim=0) == 3).all()
    for one, other in zip(halves[::2], halves[1::2], strict=True):
        assert torch.equal(torch.cat([one.indices, other.indices]).sort().values, train.indices)
        assert abs(len(one) - len(other)) <= 12
    assert not torch.equal(halves[0].indices, halves[2].indices)
    again, elsewhere = reference_halves(train, 6, seed=4), reference_halves(train, 6, seed=5)
    assert all(torch.equal(a.indices, b.indices) for a, b in zip(halves, again, strict=True))
    assert not torch.equal(halves[0].indices, elsewhere[0].indices)
    if people:
        for one, other in zip(halves[::2], halves[1::2], strict=True):
            ours, theirs = (whole.subjects[half.indices] for half in (one, other))
            assert not torch.isin(ours, theirs).any()
    else:
        sizes = torch.stack([torch.bincount(half.labels) for half in halves])
        assert (sizes.max(dim=0).values - sizes.min(dim=0).values <= 1).all()


@pytest.mark.parametrize("count", [0, 1, 3, -2])
def test_networks_come_in_pairs(count: int, everyone: Partition) -> None:
    with pytest.raises(DataError, match=f"{count} reference networks; expected an even number"):
        reference_halves(everyone.train, count, 0)


def test_one_sample_cannot_be_halved(everyone: Partition) -> None:
    with pytest.raises(DataError, match="1 samples cannot be halved"):
        reference_halves(everyone.train.take(1), 2, 0)


def test_a_wrong_label_is_learned_by_heart(everyone: Partition) -> None:
    """Nobody who did not see it would give it, whoever did may: its score is among the highest."""
    clean = everyone.collection
    labels, planted = clean.labels.clone(), everyone.train.indices[:2]
    labels[planted] = (labels[planted] + 1) % 3
    train = Examples(dataclasses.replace(clean, labels=labels), everyone.train.indices)
    halves = reference_halves(train, 4, seed=0)
    long, fast = (
        Recipe(epochs=30, batch_size=32),
        Blueprint(**SHAPE, precision=Precision.parse("FP32")).build(),
    )
    said = [
        compute_signals(train_reference_network(fast, half, long, Run(seed=0), number), train, CPU)
        for number, half in enumerate(halves)
    ]
    scores = memorisation_scores(stack_answers(said, train, halves))
    assert (scores[:2] > np.quantile(scores[2:], 0.95)).all()
    assert abs(np.median(scores)) < 0.1


def test_networks_of_one_run_differ_and_can_be_made_again(everyone: Partition) -> None:
    half = reference_halves(everyone.train, 2, 0)[0]
    first, again, other = (
        compute_signals(
            train_reference_network(FORM, half, SHORT, Run(seed=3), number), everyone.test, CPU
        ).logits
        for number in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.fixture(scope="module")
def forgetting(everyone: Partition) -> Splits:
    return everyone.forgetting(everyone.train.indices[::5].clone(), salt=b"0" * 32)


def test_answers_about_a_forget_set_come_from_those_about_the_training_part(forgetting: Splits) -> None:
    train = forgetting.partition.train
    halves = reference_halves(train, 2, 0)
    network = train_reference_network(FORM, halves[0], SHORT, Run(), 0)
    said = [compute_signals(network, train, CPU)] * 2
    whole = stack_answers(said, train, halves)
    direct = stack_answers([compute_signals(network, forgetting.forget, CPU)] * 2, forgetting.forget, halves)
    chosen = select_answers(whole, train, forgetting.forget)
    assert np.allclose(expit(chosen.margin), expit(direct.margin), atol=1e-5)
    assert (chosen.out == direct.out).all()
    with pytest.raises(DataError, match="not among those answered"):
        select_answers(whole, train, forgetting.test)
    with pytest.raises(DataError, match="1 networks with"):
        stack_answers(said[:1], train, halves)
