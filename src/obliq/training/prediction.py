"""The one question that every audit asks, whoever answers it: which logits for these images?"""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from obliq.data import Examples
from obliq.data.batches import batches

BATCH = 512


@runtime_checkable
class Predictor(Protocol):
    """Anything that answers images with logits: a network in PyTorch, a file in some runtime."""

    @property
    def runtime(self) -> str:
        """Name and version of what computes."""

    @property
    def device(self) -> torch.device:
        """Where it wants its images."""

    def predict(self, images: Float[Tensor, "batch ..."]) -> Float32[Tensor, "batch classes"]:
        """The logits for a batch of standardised inputs on `device`; they come on the processor."""


@dataclass(frozen=True, eq=False)
class TorchPredictor:
    """A network in PyTorch, asked in evaluation mode, which is put back afterwards.

    Attributes:
        model: the network.
        device: where it is and computes.
    """

    model: nn.Module = field(repr=False)
    device: torch.device

    @property
    def runtime(self) -> str:
        """PyTorch and its version."""
        return f"PyTorch {torch.__version__}"

    @torch.no_grad()
    def predict(self, images: Float[Tensor, "batch ..."]) -> Float32[Tensor, "batch classes"]:
        """The logits for a batch of standardised inputs on `device`; they come on the processor."""
        was_training = self.model.training
        self.model.eval()
        try:
            answered: Tensor = self.model(images)
            return answered.float().cpu()
        finally:
            self.model.train(was_training)


def collect_logits(predictor: Predictor, examples: Examples) -> Float32[Tensor, "samples classes"]:
    """The logits for every sample, in the order of the examples."""
    given = batches(examples, BATCH, None, predictor.device)
    return torch.cat([predictor.predict(inputs) for inputs, _ in given])
