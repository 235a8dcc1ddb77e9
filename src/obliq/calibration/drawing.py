"""Forget batches in which those samples come more often that have further to go."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from obliq.data import Examples
from obliq.data.batches import numbered_cycle


def drawn_by_distance(
    examples: Examples,
    distances: Float[Tensor, " samples"],
    batch_size: int,
    generator: torch.Generator,
    device: torch.device,
    augment: bool = False,
) -> Iterator[tuple[Shaped[Tensor, "batch ..."], Int[Tensor, " batch"], Int[Tensor, " batch"]]]:
    """Endless batches of inputs, labels and the samples' positions, each drawn anew from the generator.

    Most of a forget set is nearly where it should be, and every pass over it in order spends most of its time there.
    The first of a batch is drawn with weights 1 + distance / mean distance: half evenly, half in proportion. As nobody
    comes twice in a batch, the favour fades the larger batches are, and is none where a batch is the whole set.

    Args:
        examples: the forget set.
        distances: how far each sample has to go, 0 or more.
        batch_size: samples a batch.
        generator: draws, and augments.
        device: where batches go; positions stay on the processor.
        augment: random crops and flips.

    Source: ours. Chosen over purely proportional draws, and over distances kept up to date as batches are seen.
    """
    mean = distances.mean()
    weights = 1 + (distances / mean if mean > 0 else torch.zeros_like(distances))
    size = min(batch_size, len(examples))
    while True:
        positions = torch.multinomial(weights, size, generator=generator)
        few = Examples(examples.collection, examples.indices[positions])
        inputs, labels, order = next(numbered_cycle(few, size, generator, device, augment))
        yield inputs, labels, positions[order]
