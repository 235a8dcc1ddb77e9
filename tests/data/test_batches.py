"""Batches: every sample once a pass, order from the generator alone, no batch of one."""

from dataclasses import replace
from itertools import islice
from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.overrides import TorchFunctionMode

from obliq.data import Collection, Examples, MapDataset
from obliq.data.batches import Batch, batches, crop_and_mirror, cycle, numbered_cycle
from obliq.errors import DataError

CPU = torch.device("cpu")


class Lazy:
    def __init__(self, inputs: torch.Tensor) -> None:
        self.inputs = inputs

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int, /) -> tuple[torch.Tensor, int]:
        return self.inputs[index], 0


def numbered(count: int, lazy: bool = False) -> Examples:
    """Examples whose input is their position, so that a batch tells what is in it."""
    inputs: torch.Tensor | MapDataset = torch.arange(count, dtype=torch.float32).view(-1, 1)
    collection = Collection("numbered", Lazy(inputs) if lazy else inputs, torch.arange(count) % 2)
    return Examples(collection, torch.arange(count))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def seen(read: list[Batch]) -> list[int]:
    return [int(value) for inputs, _ in read for value in inputs.flatten()]


@settings(max_examples=80)
@given(count=st.integers(1, 70), size=st.integers(1, 20), shuffled=st.booleans(), lazy=st.booleans())
def test_every_sample_once_and_no_lonely_last(count: int, size: int, shuffled: bool, lazy: bool) -> None:
    read = list(batches(numbered(count, lazy), size, seeded(0) if shuffled else None, CPU))
    assert sorted(seen(read)) == list(range(count))
    if not shuffled:
        assert seen(read) == list(range(count))
    lengths = [len(labels) for _, labels in read]
    if size > 1 and count > 1:
        assert min(lengths) > 1
    assert all(length == size for length in lengths[:-1])
    assert lengths[-1] <= size + 1
    for inputs, labels in read:
        assert inputs.dtype == torch.float32
        assert labels.tolist() == [int(value) % 2 for value in inputs.flatten()]


def test_only_the_chosen_samples_come() -> None:
    some = replace(numbered(20), indices=torch.tensor([7, 3, 11]))
    assert seen(list(batches(some, 2, None, CPU))) == [7, 3, 11]
    assert [len(labels) for _, labels in batches(some, 2, None, CPU)] == [3]


@pytest.mark.parametrize("lazy", [False, True])
def test_the_generator_alone_decides_the_order(lazy: bool) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = seen(list(batches(numbered(50, lazy), 8, seeded(3), CPU)))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert one == seen(list(batches(numbered(50, lazy), 8, seeded(3), CPU)))
    assert one != seen(list(batches(numbered(50, lazy), 8, seeded(4), CPU)))
    assert one != list(range(50))


def test_memory_and_loader_give_the_same_batches() -> None:
    one, other = (seen(list(batches(numbered(30, lazy), 7, seeded(3), CPU))) for lazy in (False, True))
    assert one == other


def test_workers_read_the_same() -> None:
    alone, helped = (list(batches(numbered(12, True), 5, None, CPU, workers=workers)) for workers in (0, 1))
    assert seen(alone) == seen(helped)


def test_cycle_shuffles_every_pass_anew() -> None:
    read = list(islice(cycle(numbered(24), 8, seeded(0), CPU), 9))
    passes = [seen(read[start : start + 3]) for start in (0, 3, 6)]
    assert all(sorted(one) == list(range(24)) for one in passes)
    assert passes[0] != passes[1] != passes[2]
    again = list(islice(cycle(numbered(24), 8, seeded(0), CPU), 9))
    assert seen(read) == seen(again)


def test_numbered_batches_are_those_of_cycle_with_positions() -> None:
    some = replace(numbered(20), indices=torch.arange(19, 0, -2))
    plain = islice(cycle(some, 4, seeded(0), CPU), 6)
    told = islice(numbered_cycle(some, 4, seeded(0), CPU), 6)
    for (inputs, labels), (same, labels_too, positions) in zip(plain, told, strict=True):
        assert torch.equal(inputs, same)
        assert torch.equal(labels, labels_too)
        assert torch.equal(some.indices[positions], same.flatten().long())
    with pytest.raises(DataError, match="no samples"):
        numbered_cycle(some.take(0), 4, seeded(0), CPU)


def pictures(count: int = 10, size: int = 12) -> Examples:
    pixels = torch.randint(1, 256, (count, 3, size, size), generator=seeded(0), dtype=torch.uint8)
    labels = torch.arange(count) % 2
    collection = Collection("pictures", pixels, labels, mean=(0.5,) * 3, deviation=(0.5,) * 3)
    return Examples(collection, torch.arange(count))


def test_images_arrive_channels_last_and_standardised() -> None:
    for augment in (False, True):
        for inputs, _ in batches(pictures(), 4, seeded(0), CPU, augment):
            assert inputs.is_contiguous(memory_format=torch.channels_last)
            assert float(inputs.min()) >= -1
            assert float(inputs.max()) <= 1
    (inputs, _), *_ = batches(pictures(), 4, None, CPU)
    torch.testing.assert_close(inputs, pictures().collection.fetch(torch.arange(4)))


def test_crop_and_mirror_equals_the_slow_way() -> None:
    images = pictures(64).collection.inputs
    result = crop_and_mirror(images, seeded(7))
    padded = torch.nn.functional.pad(images, (4, 4, 4, 4))
    shifts, mirrored = set(), 0
    for image, shifted in zip(padded, result, strict=True):
        found = _explanations(image, shifted)
        assert len(found) == 1
        shifts.add(found[0][:2])
        mirrored += found[0][2]
    assert len(shifts) > 30
    assert 16 < mirrored < 48


def _explanations(padded: torch.Tensor, shifted: torch.Tensor) -> list[tuple[int, int, bool]]:
    """Every crop and mirroring that gives the shifted image."""
    found = []
    for top in range(9):
        for left in range(9):
            crop = padded[:, top : top + 12, left : left + 12]
            found += [
                (top, left, flip)
                for flip in (False, True)
                if torch.equal(crop.flip(2) if flip else crop, shifted)
            ]
    return found


def test_augmentation_repeats_with_its_seed() -> None:
    one, same, other = (
        torch.cat([inputs for inputs, _ in batches(pictures(), 4, seeded(seed), CPU, True)])
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


class PretendDevice(TorchFunctionMode):
    """Leaves tensors where they are when they are moved to `DEVICE`, and keeps what was moved."""

    DEVICE = torch.device("meta")

    def __init__(self) -> None:
        super().__init__()
        self.moved: list[torch.Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.to and args[1:] == (self.DEVICE,):
            self.moved.append(args[0])
            return args[0]
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("augment", [False, True])
@pytest.mark.parametrize("held", [0, 2**20])
def test_an_accelerator_gets_the_same_batches(
    lazy: bool, augment: bool, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("obliq.data.batches.HELD", held)
    collection = pictures(30).collection
    if lazy:
        collection = replace(collection, inputs=Lazy(cast(torch.Tensor, collection.inputs)))
    examples = Examples(collection, torch.arange(29, 0, -2))
    expected = list(batches(examples, 4, seeded(3), CPU, augment))
    with PretendDevice() as device:
        found = list(batches(examples, 4, seeded(3), PretendDevice.DEVICE, augment))
    for (inputs, labels), (wanted, classes) in zip(found, expected, strict=True):
        assert torch.equal(inputs, wanted)
        assert torch.equal(labels, classes)
    first = next(one for one in device.moved if one.dtype == torch.uint8)
    assert len(first) == (len(examples) if held and not lazy else 4)  # all at once where they fit


def test_refusals() -> None:
    with pytest.raises(DataError, match="batch size 0"):
        batches(numbered(4), 0, None, CPU)
    with pytest.raises(DataError, match="crops and mirrors images"):
        batches(numbered(4), 2, seeded(0), CPU, augment=True)
    with pytest.raises(DataError, match="expected a generator"):
        batches(pictures(), 2, None, CPU, augment=True)
    with pytest.raises(DataError, match="no samples"):
        cycle(numbered(4).take(0), 2, seeded(0), CPU)
    assert list(batches(numbered(4).take(0), 2, None, CPU)) == []
