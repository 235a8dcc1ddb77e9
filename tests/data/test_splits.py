"""Roles: disjoint, repeatable, people whole; digests that follow content, roles and salt."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from obliq.data import Collection, PartitionRule, load_dataset, partition
from obliq.data.collection import Examples
from obliq.data.splits import require_disjoint
from obliq.errors import DataError


def drawn(
    seed: int, count: int, people: int | None, unknown: float = 0.0, official: bool = False
) -> Collection:
    generator = torch.Generator().manual_seed(seed)
    subjects = None
    if people is not None:
        subjects = torch.randint(0, people, (count,), generator=generator)
        subjects[torch.rand(count, generator=generator) < unknown] = -1
    return Collection(
        name="drawn",
        inputs=torch.rand(count, 3, generator=generator),
        labels=torch.arange(count) % 4,
        subjects=subjects,
        official_test=torch.arange(count) >= count * 4 // 5 if official else None,
    )


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(60, 200),
    people=st.none() | st.integers(6, 30),
    unknown=st.sampled_from([0.0, 0.3, 1.0]),
    limit=st.sampled_from([0, 20]),
)
def test_parts_are_disjoint_and_people_whole(
    seed: int, count: int, people: int | None, unknown: float, limit: int
) -> None:
    collection = drawn(seed, count, people, unknown)
    divided = partition(collection, PartitionRule(seed=seed, limit=limit))
    parts = [divided.train.indices, divided.holdout.indices, divided.test.indices]
    together = torch.cat(parts)
    assert len(torch.unique(together)) == len(together)
    if limit == 0:
        assert len(together) == count
    assert all(torch.equal(part, part.sort().values) for part in parts)
    if collection.subjects is not None:
        known = [{who for who in collection.subjects[part].tolist() if who >= 0} for part in parts]
        assert len(set().union(*known)) == sum(map(len, known))


def test_same_seed_same_roles_other_seed_other_roles() -> None:
    collection = drawn(0, 200, None)
    one, again, other = (partition(collection, PartitionRule(seed=seed)) for seed in (3, 3, 4))
    assert torch.equal(one.train.indices, again.train.indices)
    assert one.digest == again.digest
    assert not torch.equal(one.train.indices, other.train.indices)
    assert one.digest != other.digest


def test_official_test_part_is_kept_and_holdout_is_a_share_of_all() -> None:
    collection = drawn(0, 200, None, official=True)
    divided = partition(collection, PartitionRule(holdout=0.2))
    assert divided.test.indices.tolist() == list(range(160, 200))
    assert len(divided.holdout) == 40


def test_classes_are_drawn_in_proportion_without_subjects() -> None:
    divided = partition(drawn(0, 400, None), PartitionRule(holdout=0.2, test=0.1))
    assert divided.test.labels.bincount().tolist() == [10] * 4
    assert divided.holdout.labels.bincount().tolist() == [20] * 4


def test_limit_bounds_the_training_part() -> None:
    assert len(partition(drawn(0, 400, None), PartitionRule(limit=80)).train) == 80
    by_person = partition(load_dataset("digits"), PartitionRule(limit=400))
    assert len(torch.unique(by_person.collection.subjects[by_person.train.indices])) == 3


def test_digits_are_divided_by_form() -> None:
    divided = partition(load_dataset("digits"), PartitionRule())
    forms = [
        set(divided.collection.subjects[part.indices].tolist()) for part in (divided.train, divided.holdout)
    ]
    assert not forms[0] & forms[1]
    assert len(divided.train) > 1000


def test_forget_and_retain_divide_the_training_part() -> None:
    divided = partition(drawn(0, 100, None), PartitionRule())
    ids = divided.train.indices[[5, 1, 9]]
    splits = divided.forgetting(ids, salt=b"s")
    assert splits.forget.indices.tolist() == sorted(ids.tolist())
    both = torch.cat([splits.forget.indices, splits.retain.indices]).sort().values
    assert torch.equal(both, divided.train.indices)
    assert torch.equal(splits.holdout.indices, divided.holdout.indices)
    assert torch.equal(splits.test.indices, divided.test.indices)


def test_digest_follows_request_roles_and_salt_but_not_order() -> None:
    divided = partition(drawn(0, 100, None), PartitionRule())
    a, b, c = divided.train.indices[:3].tolist()

    def digest(ids: list[int], salt: bytes = b"salt") -> str:
        return divided.forgetting(torch.tensor(ids), salt=salt).digest

    assert digest([a, b]) == digest([b, a])
    assert digest([a, b]) != digest([a, c])
    assert digest([a, b]) != digest([a, b], salt=b"pepper")
    fresh = divided.forgetting(torch.tensor([a, b])), divided.forgetting(torch.tensor([a, b]))
    assert fresh[0].salt != fresh[1].salt


def test_partition_digest_changes_with_one_pixel_or_one_role() -> None:
    collection = drawn(0, 100, None)
    divided = partition(collection, PartitionRule())
    changed = collection.inputs.clone()
    changed[0, 0] += 1
    other = Collection("drawn", changed, collection.labels)
    assert partition(other, PartitionRule()).digest != divided.digest
    moved = divided.train.indices[0]
    rest = Examples(collection, divided.train.indices[1:])
    holdout = Examples(collection, torch.cat([divided.holdout.indices, moved[None]]))
    assert type(divided)(divided.rule, rest, holdout, divided.test).digest != divided.digest


def test_forgotten_classes_are_those_without_retained_samples() -> None:
    divided = partition(drawn(0, 100, None), PartitionRule())
    whole = divided.train.indices[divided.train.labels == 2]
    assert divided.forgetting(whole, salt=b"").forgotten_classes == {2}
    assert divided.forgetting(whole[1:], salt=b"").forgotten_classes == frozenset()


def test_refused_requests() -> None:
    divided = partition(drawn(0, 100, None), PartitionRule())
    first = divided.train.indices[:1]
    for forget, said in (
        (torch.zeros(0, dtype=torch.int64), "forget set is empty"),
        (torch.cat([first, first]), "names 1 samples twice"),
        (divided.test.indices[:2], "2 of 2 samples to forget were never trained on"),
        (torch.tensor([100_000]), "never trained on"),
        (divided.train.indices, "all .* training samples"),
    ):
        with pytest.raises(DataError, match=said):
            divided.forgetting(forget)


@pytest.mark.parametrize(
    "rule", [{"holdout": -0.1}, {"test": 1.0}, {"holdout": 0.5, "test": 0.5}, {"limit": -1}]
)
def test_refused_rules(rule: dict[str, float]) -> None:
    with pytest.raises(DataError, match="expected"):
        PartitionRule(**rule)


def test_overlapping_or_empty_parts_are_refused() -> None:
    divided = partition(drawn(0, 100, None), PartitionRule())
    kind = type(divided)
    with pytest.raises(DataError, match=r"is in both train and test, and so are \d+ more; expected disjoint"):
        kind(divided.rule, divided.train, divided.holdout, divided.train)
    nothing = Examples(divided.collection, divided.test.indices[:0])
    with pytest.raises(DataError, match="test part is empty"):
        kind(divided.rule, divided.train, divided.holdout, nothing)


def test_an_overlap_is_named_as_the_user_calls_its_samples() -> None:
    plain = drawn(0, 4, None)
    named = dataclasses.replace(plain, sample_names=("a.png", "b.png", "c.png", "d.png"))
    one, other = (Examples(named, torch.tensor(indices)) for indices in ([0, 1], [1, 2]))
    with pytest.raises(DataError, match=r"^sample b\.png is in both training and holdout; expected disjoint"):
        require_disjoint(training=one, holdout=other)
