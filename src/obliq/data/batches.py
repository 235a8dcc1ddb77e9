"""Reproducible batches: by indexing for collections in memory, through a DataLoader for the others.

Only the given generator decides the order and the augmentation; torch's global generator is not used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from obliq.data.collection import Examples, MapDataset
from obliq.errors import DataError

Batch = tuple[Float[Tensor, "batch ..."], Int[Tensor, " batch"]]
PADDING = 4  # pixels on each side, as is usual for images of 28 and 32 pixels
HELD = 2**30
"""Bytes of samples that a pass holds on an accelerator, as a whole, from its start; CIFAR-10 takes 0.14 of this.

Each set that a method reads at the same time may take as much.

Larger passes, and samples that are read one by one, are gathered on the processor batch by batch."""


def batches(
    examples: Examples,
    batch_size: int,
    generator: torch.Generator | None,
    device: torch.device,
    augment: bool = False,
    workers: int = 0,
) -> Iterator[Batch]:
    """Go over the examples once; every sample occurs exactly once.

    Args:
        examples: what to read.
        batch_size: samples per batch. The last batch may be shorter. A single last sample joins the batch before it,
            since batch normalisation cannot learn from one sample.
        generator: shuffles (and augments); None keeps the order of the examples.
        device: of the batches; inputs of four dimensions are channels_last there.
        augment: crop at random after padding by 4 black pixels, and mirror with probability 1/2.
        workers: processes that read a data set that is not in memory.

    Yields:
        Standardised float32 inputs and their labels.

    Raises:
        DataError: for a batch size below 1, or augmentation of what is not an image or without a generator.
    """
    _require_usable(examples, batch_size, generator, augment)
    numbered = _pass(examples, batch_size, generator, device, augment, workers)
    return ((inputs, labels) for inputs, labels, _ in numbered)


def numbered_cycle(
    examples: Examples,
    batch_size: int,
    generator: torch.Generator,
    device: torch.device,
    augment: bool = False,
) -> Iterator[tuple[Float[Tensor, "batch ..."], Int[Tensor, " batch"], Int[Tensor, " batch"]]]:
    """As `cycle`; each batch comes with the positions of its samples within `examples`, on the processor."""
    _require_usable(examples, batch_size, generator, augment)
    _require_some(examples)
    return _endless(examples, batch_size, generator, device, augment, 0)


def cycle(
    examples: Examples,
    batch_size: int,
    generator: torch.Generator,
    device: torch.device,
    augment: bool = False,
    workers: int = 0,
) -> Iterator[Batch]:
    """Endless batches: pass after pass, each shuffled again by the generator. Arguments as for `batches`."""
    _require_usable(examples, batch_size, generator, augment)
    _require_some(examples)
    numbered = _endless(examples, batch_size, generator, device, augment, workers)
    return ((inputs, labels) for inputs, labels, _ in numbered)


def _require_usable(
    examples: Examples, batch_size: int, generator: torch.Generator | None, augment: bool
) -> None:
    if batch_size < 1:
        raise DataError(f"batch size {batch_size}; expected at least 1")
    if augment and len(examples.collection.sample_shape) != 3:
        raise DataError(
            f"augmentation crops and mirrors images; {examples.collection.name} has samples of shape "
            f"{examples.collection.sample_shape}, expected (channels, height, width)"
        )
    if augment and generator is None:
        raise DataError("augmentation draws at random; expected a generator")


def _require_some(examples: Examples) -> None:
    """Raise for no samples: an endless loop over none would never yield."""
    if len(examples) == 0:
        raise DataError("no samples to draw batches from; expected at least one")


def _endless(
    examples: Examples,
    batch_size: int,
    generator: torch.Generator,
    device: torch.device,
    augment: bool,
    workers: int,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    while True:
        yield from _pass(examples, batch_size, generator, device, augment, workers)


def _pass(
    examples: Examples,
    batch_size: int,
    generator: torch.Generator | None,
    device: torch.device,
    augment: bool,
    workers: int,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    collection = examples.collection
    order = torch.arange(len(examples))
    if generator is not None:
        order = torch.randperm(len(examples), generator=generator)
    positions = _divide(order, batch_size)
    chosen = [examples.indices[part] for part in positions]
    read = _read(examples, positions, chosen, generator, device, workers)
    for raw, batch, part in zip(read, chosen, positions, strict=True):
        if augment and generator is not None:
            raw = crop_and_mirror(raw, generator)
        inputs = collection.standardise(raw.to(device, non_blocking=True))
        if inputs.dim() == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        yield inputs, collection.labels[batch].to(device, non_blocking=True), part


def _divide(indices: Tensor, batch_size: int) -> list[Tensor]:
    parts = list(torch.split(indices, batch_size)) if len(indices) else []
    if len(parts) > 1 and len(parts[-1]) == 1 and batch_size > 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def _held(
    inputs: Tensor, examples: Examples, positions: list[Tensor], device: torch.device
) -> Iterator[Tensor]:
    """The raw inputs of each batch, picked on the device: all samples of the pass move there first, in one copy."""
    held = inputs[examples.indices].to(device)
    order = torch.cat(positions).to(device) if positions else torch.arange(0)
    for part in torch.split(order, [len(part) for part in positions]):
        yield held[part]


def _read(
    examples: Examples,
    positions: list[Tensor],
    chosen: list[Tensor],
    generator: torch.Generator | None,
    device: torch.device,
    workers: int,
) -> Iterator[Tensor]:
    """The raw inputs of each batch: where they lie in memory, or on the device that can hold all of them."""
    inputs = examples.collection.inputs
    if isinstance(inputs, Tensor):
        if device.type != "cpu" and inputs[:1].nbytes * len(examples) <= HELD:
            return _held(inputs, examples, positions, device)
        return (inputs[batch] for batch in chosen)
    loader: DataLoader[Tensor] = DataLoader(
        _InputsOnly(inputs),
        batch_sampler=[batch.tolist() for batch in chosen],
        collate_fn=_stack,
        num_workers=workers,
        # Without a generator of its own the loader would draw the seed of its workers from the global one.
        generator=generator if generator is not None else torch.Generator(),
    )
    return iter(loader)


class _InputsOnly(Dataset[Tensor]):
    """The inputs of a map-style data set; labels are known already."""

    def __init__(self, items: MapDataset) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Tensor:
        return self.items[index][0]


def _stack(inputs: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(inputs))


def crop_and_mirror(
    images: Shaped[Tensor, "batch channels height width"], generator: torch.Generator
) -> Shaped[Tensor, "batch channels height width"]:
    """Shift every image by up to 4 pixels in each direction and mirror it with probability 1/2.

    The generator is the processor's, so every device gets the same images.
    """
    count, _, height, width = images.shape
    top = torch.randint(0, 2 * PADDING + 1, (count, 1), generator=generator)
    left = torch.randint(0, 2 * PADDING + 1, (count, 1), generator=generator)
    mirrored = torch.rand((count, 1), generator=generator) < 0.5
    rows = top + torch.arange(height)
    columns = torch.arange(width)
    columns = left + torch.where(mirrored, columns.flip(0), columns)
    padded = F.pad(images, (PADDING, PADDING, PADDING, PADDING)).permute(0, 2, 3, 1)
    # One indexing operation for the whole batch: [image, row, column] broadcast to (batch, height, width).
    places = (torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :])
    cropped = padded[tuple(place.to(images.device, non_blocking=True) for place in places)]
    return cropped.permute(0, 3, 1, 2)


def batches_by_distance(
    examples: Examples,
    distances: Float[Tensor, " samples"],
    batch_size: int,
    generator: torch.Generator,
    device: torch.device,
    augment: bool = False,
) -> Iterator[tuple[Shaped[Tensor, "batch ..."], Int[Tensor, " batch"], Int[Tensor, " batch"]]]:
    """Endless batches of inputs, labels and the samples' positions, each drawn independently of the others.

    Most of a forget set is nearly at its targets, and a pass in order spends most of its time there. The first
    sample of a batch is drawn with weight 1 + distance / mean distance: half evenly, half in proportion to the
    distance. A batch holds no sample twice, so the larger it is, the smaller the preference; a batch of the whole
    set has none.

    Args:
        examples: the forget set.
        distances: how far each sample is from its target, 0 or more.
        batch_size: samples a batch.
        generator: draws, and augments.
        device: where batches go; positions stay on the processor.
        augment: random crops and flips.

    Source: ours. Preferred to purely proportional draws, and to distances that are updated as batches are seen.
    """
    mean = distances.mean()
    weights = 1 + (distances / mean if mean > 0 else torch.zeros_like(distances))
    size = min(batch_size, len(examples))
    while True:
        positions = torch.multinomial(weights, size, generator=generator)
        few = Examples(examples.collection, examples.indices[positions])
        # One batch of the drawn samples, for its augmentation; it comes in an order of its own.
        inputs, labels, order = next(numbered_cycle(few, size, generator, device, augment))
        yield inputs, labels, positions[order]
