"""Raw values of samples, for methods that change inputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from obliq.data.collection import Collection, Examples


@dataclass(frozen=True, kw_only=True)
class RawValues:
    """Conversion of standardised inputs to raw ones and back, for methods that change inputs.

    Attributes:
        mean: shaped to broadcast along the channels of a batch.
        deviation: of the same shape.
        eight_bit: whether raw inputs are bytes, scaled to 0..1; floats have no known range.
    """

    mean: Tensor
    deviation: Tensor
    eight_bit: bool

    @classmethod
    def of(cls, collection: Collection, inputs: Float[Tensor, "batch ..."], eight_bit: bool) -> RawValues:
        """The conversion for a collection, on the device of a batch of its standardised inputs."""
        mean, deviation = collection.scale_of(inputs)
        return cls(mean=mean, deviation=deviation, eight_bit=eight_bit)

    def raw(self, inputs: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Convert standardised inputs to raw ones."""
        return inputs * self.deviation + self.mean

    def standardised(self, raw: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Convert raw inputs to standardised ones."""
        return (raw - self.mean) / self.deviation

    def possible(self, raw: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Clamp raw inputs to 0..1 where they are bytes; floats stay as they are."""
        return raw.clamp(0, 1) if self.eight_bit else raw


def eight_bit(examples: Examples) -> bool:
    """Whether the raw inputs are bytes, so that their values lie in 0..255."""
    inputs = examples.collection.inputs
    first = inputs if isinstance(inputs, Tensor) else inputs[int(examples.indices[0])][0]
    return first.dtype == torch.uint8
