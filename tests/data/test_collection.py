"""What a collection refuses, how it standardises, and that its digest follows its content."""

from dataclasses import replace

import pytest
import torch

from obliq.data.collection import Collection, Examples
from obliq.errors import DataError


def small(**changes: object) -> Collection:
    generator = torch.Generator().manual_seed(1)
    fields = {
        "name": "small",
        "inputs": torch.randint(0, 256, (6, 2, 3, 3), generator=generator, dtype=torch.uint8),
        "labels": torch.tensor([0, 1, 2, 0, 1, 2]),
        "subjects": torch.tensor([0, 0, 1, 1, 2, 2]),
        "mean": (0.5, 0.25),
        "deviation": (0.5, 2.0),
    }
    return Collection(**(fields | changes))


class Lazy:
    def __init__(self, inputs: torch.Tensor) -> None:
        self.inputs = inputs

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int, /) -> tuple[torch.Tensor, int]:
        return self.inputs[index], 0


def test_standardise_scales_bytes_then_channels() -> None:
    collection = small()
    inputs = collection.inputs.double() / 255
    expected = torch.stack([(inputs[:, 0] - 0.5) / 0.5, (inputs[:, 1] - 0.25) / 2.0], dim=1)
    torch.testing.assert_close(collection.fetch(torch.arange(6)).double(), expected, atol=1e-6, rtol=0)


def test_standardise_leaves_the_stored_samples_alone() -> None:
    stored = torch.rand(4, 1, 2, 2)
    before = stored.clone()
    collection = Collection("floats", stored, torch.tensor([0, 1, 0, 1]), mean=(0.5,), deviation=(0.5,))
    collection.fetch(torch.arange(4))
    assert torch.equal(stored, before)


def test_lazy_and_in_memory_agree() -> None:
    collection = small()
    lazy = replace(collection, inputs=Lazy(collection.inputs))
    assert lazy.sample_shape == collection.sample_shape == (2, 3, 3)
    assert lazy.digest == collection.digest
    chosen = torch.tensor([4, 0])
    torch.testing.assert_close(lazy.fetch(chosen), collection.fetch(chosen))


def test_digest_changes_with_one_pixel_label_or_subject() -> None:
    collection = small()
    assert small().digest == collection.digest
    pixel = collection.inputs.clone()
    pixel[3, 1, 2, 0] += 1
    assert small(inputs=pixel).digest != collection.digest
    assert small(labels=torch.tensor([0, 1, 2, 0, 1, 1]), class_names="abc").digest != collection.digest
    assert small(subjects=torch.tensor([0, 0, 1, 1, 2, 1])).digest != collection.digest
    assert small(subjects=None).digest != collection.digest


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": torch.tensor([0, 1])}, "6 inputs but 2 labels"),
        ({"inputs": torch.zeros(0, 1), "labels": torch.zeros(0, dtype=torch.int64)}, "no samples"),
        ({"subjects": torch.tensor([1])}, "1 subjects for 6 samples"),
        ({"official_test": torch.tensor([True])}, "1 test marks for 6 samples"),
        ({"labels": torch.tensor([0, 1, 2, 0, 1, -1])}, "labels run from -1 to 2"),
        ({"class_names": ("a", "b")}, "labels run from 0 to 2; expected 0 to 1"),
        (
            {"inputs": torch.tensor([1, 2, float("nan"), 4, float("inf"), 6]).view(6, 1)},
            "2 of 6 inputs hold NaN",
        ),
    ],
)
def test_refusals_name_what_is_wrong(changes: dict[str, object], said: str) -> None:
    with pytest.raises(DataError, match=said):
        small(**changes)


def test_examples_choose_by_position() -> None:
    examples = Examples(small(), torch.tensor([5, 1, 3]))
    assert examples.labels.tolist() == [2, 1, 0]
    assert examples.where(torch.tensor([True, False, True])).indices.tolist() == [5, 3]
    assert examples.take(2).indices.tolist() == [5, 1]
    assert torch.equal(examples.inputs(), small().fetch(torch.tensor([5, 1, 3])))


def test_examples_are_a_data_set_of_scaled_inputs() -> None:
    pixels = torch.arange(12, dtype=torch.uint8).view(4, 1, 3)
    data = Collection("bytes", pixels, torch.tensor([0, 1, 0, 1]), mean=(0.5,), deviation=(0.5,))
    some = Examples(data, torch.tensor([3, 1]))
    loaded = list(torch.utils.data.DataLoader(some, batch_size=2))
    assert torch.equal(loaded[0][0], some.inputs())
    assert loaded[0][1].tolist() == [1, 1]
    assert torch.equal(some[-1][0], some[1][0])
    assert len(list(iter(some))) == 2
    for outside in (2, -3):
        with pytest.raises(IndexError):
            some[outside]


@pytest.mark.parametrize("count", [1, 7, 60, 99])
def test_some_samples_are_spread_over_all(count: int) -> None:
    examples = Examples(small(), torch.arange(100))
    places = examples.spread(count).indices
    assert len(places) == count
    assert places[0] == 0
    steps = torch.cat([places, torch.tensor([100])]).diff()
    assert int(steps.max() - steps.min()) <= 1
    assert examples.spread(100) is examples.spread(1000) is examples
