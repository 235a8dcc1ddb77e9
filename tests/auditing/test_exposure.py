"""The rank of the forgotten samples by what unlearning did to their loss."""

import numpy as np
import pytest
import torch

from obliq.auditing import Exposure, RoleSignals, Signals, measure_exposure
from obliq.auditing.exposure import DRAWS
from obliq.data import Partition, PartitionRule, Splits, partition
from obliq.errors import AuditError
from tests.conftest import make_collection


def network(splits: Splits, margins: dict[int, float]) -> RoleSignals:
    """A network with a margin of 2 on every sample but those of these ids."""

    def answers(role: str) -> Signals:
        part = getattr(splits, role)
        logits = torch.zeros(len(part), 3)
        wanted = torch.tensor([margins.get(int(index), 2.0) for index in part.indices])
        logits[torch.arange(len(part)), part.labels] = wanted
        return Signals(logits, part.labels)

    return RoleSignals(**{role: answers(role) for role in ("forget", "retain", "test")})


def lowered(splits: Splits, ids: list[int], by: float) -> RoleSignals:
    return network(splits, dict.fromkeys(ids, 2.0 - by))


def of_person(parts: Partition, *people: int) -> torch.Tensor:
    owners = parts.collection.subjects[parts.train.indices]
    return parts.train.indices[torch.isin(owners, torch.tensor(people))]


@pytest.fixture(scope="module")
def trained(parts: Partition) -> list[int]:
    return torch.unique(parts.collection.subjects[parts.train.indices]).tolist()


def test_a_person_is_ranked_among_the_people_in_training(parts: Partition, trained: list[int]) -> None:
    splits = parts.forgetting(of_person(parts, trained[0]))
    before, forget = network(splits, {}), splits.forget.indices.tolist()
    found = measure_exposure(before, lowered(splits, forget, 1.0), splits)
    assert found == Exposure(rank=1, of=len(trained), groups="people")
    assert str(found) == f"rank 1 of {len(trained)} people"
    other = of_person(parts, trained[1]).tolist()
    moved = network(splits, dict.fromkeys(forget, 1.0) | dict.fromkeys(other, 0.5))
    assert measure_exposure(before, moved, splits).rank == 2
    assert measure_exposure(before, lowered(splits, forget, -1.0), splits).rank == len(
        trained
    )  # surer than before
    unseen = lowered(splits, splits.test.indices.tolist(), 5.0)
    assert measure_exposure(before, unseen, splits) == measure_exposure(before, before, splits)


def test_two_networks_that_are_the_same_single_out_nobody(parts: Partition, trained: list[int]) -> None:
    splits = parts.forgetting(of_person(parts, trained[0]))
    same = network(splits, {})
    found = measure_exposure(same, same, splits)
    assert found.rank == pytest.approx((found.of + 1) / 2, abs=1)


def test_several_people_are_compared_with_sets_of_as_many(parts: Partition, trained: list[int]) -> None:
    splits = parts.forgetting(of_person(parts, *trained[:2]))
    moved = lowered(splits, splits.forget.indices.tolist(), 1.0)
    assert measure_exposure(network(splits, {}), moved, splits) == Exposure(
        rank=1, of=DRAWS + 1, groups="people"
    )


def test_listed_samples_are_compared_with_random_groups(parts: Partition) -> None:
    splits = parts.forgetting(parts.train.indices[::9])  # some samples of most people
    before = network(splits, {})
    moved = lowered(splits, splits.forget.indices.tolist(), 1.0)
    assert measure_exposure(before, moved, splits) == Exposure(rank=1, of=DRAWS + 1, groups="random groups")
    generator = np.random.default_rng(1)
    every = [int(index) for part in (splits.forget, splits.retain) for index in part.indices]
    noise = network(splits, dict(zip(every, generator.normal(2.0, 0.5, len(every)).tolist(), strict=True)))
    assert measure_exposure(before, noise, splits) == measure_exposure(before, noise, splits)
    assert 1 < measure_exposure(before, noise, splits).rank <= DRAWS + 1


def test_a_class_is_ranked_among_classes_where_there_are_enough() -> None:
    collection = make_collection()
    many = type(collection)("many", collection.inputs, torch.arange(240) % 8)
    parts = partition(many, PartitionRule(seed=1, holdout=0.2, test=0.2))
    splits = parts.forgetting(parts.train.indices[parts.train.labels == 5])

    def confident(loss: float) -> RoleSignals:
        def answers(role: str) -> Signals:
            part = getattr(splits, role)
            logits = torch.zeros(len(part), 8)
            logits[torch.arange(len(part)), part.labels] = torch.where(part.labels == 5, loss, 2.0)
            return Signals(logits, part.labels)

        return RoleSignals(**{role: answers(role) for role in ("forget", "retain")})

    found = measure_exposure(confident(2.0), confident(0.0), splits)
    assert found == Exposure(rank=1, of=8, groups="classes")


def test_a_rank_lies_among_the_groups() -> None:
    with pytest.raises(AuditError, match="rank 3 of 2; expected 1 to 2"):
        Exposure(rank=3, of=2, groups="people")
