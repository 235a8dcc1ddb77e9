"""Sets that are given one by one become disjoint roles, and nothing about their samples changes."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from obliq.data import Collection, Examples, Partition, Splits, as_examples, join_roles
from obliq.errors import DataError
from tests.conftest import make_collection


class Listed(Dataset[tuple[Tensor, int]]):
    """Any map-style data set."""

    def __init__(self, inputs: Tensor, labels: Tensor) -> None:
        self.inputs, self.labels = inputs, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.inputs[index], int(self.labels[index])


class Endless(IterableDataset[int]):
    def __iter__(self) -> Any:
        yield 0


FORMS: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "pair": lambda inputs, labels: (inputs, labels),
    "list": lambda inputs, labels: [inputs, labels],
    "arrays": lambda inputs, labels: (inputs.numpy(), labels.numpy().astype(np.int16)),
    "double": lambda inputs, labels: (inputs.double(), labels.int()),
    "tensor data set": TensorDataset,
    "map-style": Listed,
    "subset": lambda inputs, labels: Subset(Listed(inputs, labels), range(len(labels))),
    "collection": lambda inputs, labels: Collection("toy", inputs, labels),
}
in_every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())


def pair(samples: int = 12, seed: int = 0, classes: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(samples, 1, 6, 6, generator=generator), torch.arange(samples) % classes


@in_every_form
def test_inputs_and_labels_stay_as_they_are(form: Callable[[Tensor, Tensor], Any]) -> None:
    inputs, labels = pair()
    examples = as_examples(form(inputs, labels))
    assert torch.equal(examples.inputs(), inputs)
    assert torch.equal(examples.labels, labels)


@in_every_form
def test_roles_keep_the_order_of_their_samples(form: Callable[[Tensor, Tensor], Any]) -> None:
    sets = {role: pair(seed=seed) for seed, role in enumerate(("forget", "retain", "holdout", "test"))}
    splits = join_roles(**{role: form(*both) for role, both in sets.items()}, classes=5)
    for role, (inputs, labels) in sets.items():
        assert torch.equal(getattr(splits, role).inputs(), inputs)
        assert torch.equal(getattr(splits, role).labels, labels)
    assert len(splits.partition.train) == 24


def test_sets_beyond_memory_are_read_item_by_item(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = join_roles(Listed(*pair(seed=0)), Listed(*pair(seed=1)), pair(seed=2))
    monkeypatch.setattr("obliq.data.user_dataset.IN_MEMORY", 10)
    monkeypatch.setattr("obliq.data.joined_inputs.IN_MEMORY", 10)
    lazy = join_roles(Listed(*pair(seed=0)), Listed(*pair(seed=1)), pair(seed=2))
    assert not isinstance(lazy.partition.collection.inputs, Tensor)
    assert lazy.partition.collection.digest == kept.partition.collection.digest
    assert torch.equal(lazy.holdout.inputs(), kept.holdout.inputs())


def test_samples_of_one_collection_stay_in_it(parts: Partition) -> None:
    train = parts.train
    splits = join_roles(
        train.take(9), Examples(train.collection, train.indices[9:]), parts.holdout, parts.test
    )
    assert splits.partition.collection is parts.collection
    assert splits.partition.digest == parts.digest


def test_classes_are_the_networks(parts: Partition) -> None:
    assert join_roles(pair(seed=0), pair(seed=1), classes=7).partition.collection.classes == 7
    named = [Collection(str(seed), *pair(seed=seed), class_names=("a", "b", "c")) for seed in range(2)]
    assert join_roles(*named, classes=3).partition.collection.class_names == ("a", "b", "c")


def test_scaling_of_collections_is_kept() -> None:
    sets = [
        Collection(
            str(seed), (255 * torch.rand(6, 1, 2, 2)).byte(), torch.arange(6) % 2, None, None, (0.5,), (0.2,)
        )
        for seed in range(2)
    ]
    splits = join_roles(*sets)
    assert splits.retain.collection.inputs.dtype == torch.uint8
    assert torch.equal(splits.retain.inputs(), sets[1].fetch(torch.arange(6)))


@pytest.mark.parametrize("role", ["holdout", "test"])
def test_a_set_that_was_left_out_names_its_argument(role: str) -> None:
    splits = join_roles(pair(seed=0), pair(seed=1))
    for read in (len, lambda examples: examples.labels, lambda examples: examples.inputs()):
        with pytest.raises(DataError, match=rf"no {role} samples were given.*expected {role}=") as caught:
            read(getattr(splits, role))
        assert "\n" not in str(caught.value)


REFUSED: dict[str, tuple[Any, str]] = {
    "bytes": ((torch.zeros(4, 2, dtype=torch.uint8), torch.arange(4)), "inputs are uint8.*obliq.Collection"),
    "byte items": (Listed(torch.zeros(4, 2, dtype=torch.uint8), torch.arange(4)), "inputs are uint8"),
    "integers": ((torch.zeros(4, 2, dtype=torch.int64), torch.arange(4)), "inputs are torch.int64"),
    "one dimension": ((torch.zeros(4), torch.arange(4)), r"shape \(4,\); expected floats"),
    "one-hot labels": ((torch.zeros(4, 2), torch.eye(4)), "labels are torch.float32 of shape"),
    "float labels": ((torch.zeros(4, 2), torch.zeros(4)), "labels are torch.float32"),
    "texts as labels": ((torch.zeros(2, 2), ["cat", "dog"]), "expected tensors"),
    "negative labels": ((torch.zeros(4, 2), torch.arange(4) - 1), "labels run from -1 to 2"),
    "mismatched labels": ((torch.zeros(4, 2), torch.arange(3)), "4 inputs but 3 labels"),
    "NaN": ((torch.full((4, 2), torch.nan), torch.arange(4)), "4 of 4 inputs hold NaN"),
    "NaN items": (Listed(torch.full((4, 2), torch.nan), torch.arange(4)), "item 0 holds NaN"),
    "nothing": ((torch.zeros(0, 2), torch.arange(0)), "no samples"),
    "no items": (Listed(torch.zeros(0, 2), torch.arange(0)), "no samples"),
    "no examples": (Examples(make_collection(), torch.arange(0)), "no samples"),
    "a loader": (DataLoader(Listed(*pair())), "DataLoader.*loader.dataset"),
    "no labels": (torch.zeros(4, 2), "without labels"),
    "endless": (Endless(), "Endless; expected a map-style data set"),
    "text": ("digits", "a str; expected"),
    "a mapping": ({"x": 1}, "a dict; expected"),
    "a number": (3, "a int; expected"),
}


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(("data", "words"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("role", ["forget", "retain", "holdout", "test"])
def test_what_cannot_be_read_is_refused_in_one_line_with_its_role(role: str, data: Any, words: str) -> None:
    sets = {name: pair(seed=seed) for seed, name in enumerate(("forget", "retain", "holdout", "test"))}
    with pytest.raises(DataError, match=words) as caught:
        join_roles(**{**sets, role: data})
    assert role in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("without_type_checks")
def test_several_sets_in_one_argument_are_refused(parts: Partition, splits: Splits) -> None:
    with pytest.raises(DataError, match=r"retain is a Partition.*train"):
        join_roles(pair(), parts)
    with pytest.raises(DataError, match=r"retain is a Splits.*retain"):
        join_roles(pair(), splits)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ((torch.randn(4, 1, 5, 5), torch.arange(4) % 3), r"retain has samples of shape \(1, 5, 5\), forget"),
        (
            Collection("x", *pair(seed=1), mean=(0.5,), deviation=(1.0,)),
            "retain has samples of mean and deviation",
        ),
        (pair(seed=1, classes=5), "retain has label 4, but the network distinguishes 3 classes"),
    ],
)
def test_sets_that_do_not_fit_together(other: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        join_roles(pair(), other, classes=3)


def test_overlapping_sets_are_refused(parts: Partition) -> None:
    inputs, labels = pair(60)
    with pytest.raises(DataError, match="5 of 20 forget samples are in retain too"):
        join_roles((inputs[:20], labels[:20]), Listed(inputs[15:], labels[15:]))
    with pytest.raises(DataError, match="5 of 5 forget samples are in retain too"):
        join_roles(parts.train.take(5), parts.train)
    with pytest.raises(DataError, match="forget names 1 samples twice"):
        join_roles(Examples(parts.collection, parts.train.indices[[0, 1, 1]]), parts.holdout)
    train = parts.train
    rest = Examples(train.collection, train.indices[4:])
    with pytest.raises(DataError, match="1 of 5 forget samples are in retain too"):
        join_roles(train.take(5), rest, (torch.randn(3, 1, 6, 6), torch.arange(3)))


def test_few_copies_are_reported_and_accepted() -> None:
    inputs, labels = pair(400)
    forget, retain = (inputs[:200], labels[:200]), (inputs[199:], labels[199:])
    with pytest.warns(UserWarning, match="1 of 200 forget samples have a copy"):
        join_roles(forget, retain)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        join_roles(forget, (inputs[200:], labels[200:]))


def test_sets_that_may_be_exchanged_are_reported(splits: Splits) -> None:
    with warnings.catch_warnings(action="error"):
        join_roles(splits.forget, splits.retain)
    with pytest.warns(UserWarning, match="check that they are not exchanged"):
        join_roles(splits.retain, splits.forget)


def test_equal_samples_with_ids_of_their_own_are_accepted() -> None:
    inputs, labels = pair(10)
    twice = Collection("twice", inputs.repeat(2, 1, 1, 1), labels.repeat(2))
    join_roles(Examples(twice, torch.arange(10)), Examples(twice, torch.arange(10, 20)))
