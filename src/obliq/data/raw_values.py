"""Inputs as they were recorded: what an attack moves, whatever standardisation a network reads them in."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from obliq.data.collection import Collection, Examples


@dataclass(frozen=True, kw_only=True)
class RawValues:
    """The way from standardised inputs to raw ones and back.

    Attributes:
        mean: shaped to broadcast along the channels of a batch.
        deviation: of the same shape.
        eight_bit: whether raw inputs are bytes, scaled to 0..1; the range of floats is not known.
    """

    mean: Tensor
    deviation: Tensor
    eight_bit: bool

    @classmethod
    def of(cls, collection: Collection, inputs: Float[Tensor, "batch ..."], eight_bit: bool) -> RawValues:
        """For a collection, on the device of a batch of its standardised inputs."""
        mean, deviation = _statistics(collection, inputs)
        return cls(mean=mean, deviation=deviation, eight_bit=eight_bit)

    def raw(self, inputs: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """From standardised inputs to raw ones."""
        return inputs * self.deviation + self.mean

    def standardised(self, raw: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """From raw inputs to standardised ones."""
        return (raw - self.mean) / self.deviation

    def possible(self, raw: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Raw inputs clamped to 0..1 where they are bytes, as they are where they are floats."""
        return raw.clamp(0, 1) if self.eight_bit else raw


def eight_bit(examples: Examples) -> bool:
    """Whether the raw inputs are bytes, whose values are known to lie in 0..255."""
    inputs = examples.collection.inputs
    first = inputs if isinstance(inputs, Tensor) else inputs[int(examples.indices[0])][0]
    return first.dtype == torch.uint8


def _statistics(collection: Collection, inputs: Tensor) -> tuple[Tensor, Tensor]:
    if not collection.mean:
        return inputs.new_zeros(()), inputs.new_ones(())
    along_channels = (1, -1) + (1,) * (inputs.dim() - 2)
    return (
        inputs.new_tensor(collection.mean).view(along_channels),
        inputs.new_tensor(collection.deviation).view(along_channels),
    )
