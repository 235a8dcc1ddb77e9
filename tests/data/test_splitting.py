"""Splits for callers: the same samples as the partition and the request give."""

import pytest
import torch
from torch.utils.data import TensorDataset

from obliq.data import (
    PartitionRule,
    forget_retain_split,
    load_dataset,
    parse_selector,
    partition,
    select,
    train_holdout_test_split,
)
from obliq.errors import DataError
from tests.conftest import make_collection


def test_the_sets_are_those_of_the_partition() -> None:
    data = load_dataset("digits")
    parts = partition(data, PartitionRule(seed=3))
    drawn = (parts.train, parts.holdout, parts.test)
    for mine, theirs in zip(train_holdout_test_split(data, seed=3), drawn, strict=True):
        assert torch.equal(mine.indices, theirs.indices)


def test_a_pair_of_tensors_and_a_data_set_are_split_alike() -> None:
    toy = make_collection()
    first = train_holdout_test_split((toy.inputs, toy.labels), seed=1)
    second = train_holdout_test_split(TensorDataset(toy.inputs, toy.labels), seed=1)
    assert [one.indices.tolist() for one in first] == [one.indices.tolist() for one in second]
    assert sorted(torch.cat([one.indices for one in first]).tolist()) == list(range(240))


def test_a_part_of_a_collection_is_split_within_itself() -> None:
    train, _, _ = train_holdout_test_split(make_collection())
    again = train_holdout_test_split(train, holdout=0.3, test=0.2, seed=1)
    assert sorted(torch.cat([one.indices for one in again]).tolist()) == train.indices.tolist()


@pytest.mark.parametrize("request_", ["class=1", "subject=3", "random=10%", "random=7"])
def test_requests_are_those_of_the_command_line(request_: str) -> None:
    parts = partition(make_collection(), PartitionRule(seed=1))
    forget, retain = forget_retain_split(parts.train, request_, seed=5)
    assert torch.equal(forget.indices, select(parse_selector(request_), parts, 5))
    assert sorted([*forget.indices.tolist(), *retain.indices.tolist()]) == parts.train.indices.tolist()


@pytest.mark.usefixtures("without_type_checks")
def test_ids_are_listed_in_any_form() -> None:
    train = train_holdout_test_split(make_collection())[0]
    ids = train.indices[[4, 2, 9]]
    for given in (ids, ids.tolist(), tuple(ids.tolist()), ids.numpy()):
        assert forget_retain_split(train, given)[0].indices.tolist() == sorted(ids.tolist())


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ("class=9", "there is no class 9"),
        ("subject=99", "there is no subject 99"),
        ("random=500", "expected some to be retained"),
        ("everything", "does not name anything to forget"),
        ([], "the forget set is empty"),
        ([0, 0], "names 1 samples twice"),
        ([0.5], "ids to forget are torch.float32"),
        ([10_000], "were never trained on"),
        (range(240), "all 240 training samples"),
    ],
)
def test_requests_that_name_nothing(request_: object, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        forget_retain_split(make_collection(), request_)
    assert "\n" not in str(caught.value)


def test_subjects_in_other_sets_are_not_in_training() -> None:
    train, holdout, _ = train_holdout_test_split(make_collection(), seed=1)
    missing = int(holdout.collection.subjects[holdout.indices[0]])
    with pytest.raises(
        DataError, match=f"subject {missing} was never trained on, being outside this training set"
    ):
        forget_retain_split(train, f"subject={missing}")
