"""What every audit needs of a model, however it is computed: the logits for given images."""

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
    """Anything that computes logits for images: a network in PyTorch, or a file in a runtime."""

    @property
    def runtime(self) -> str:
        """Name and version of the runtime."""

    @property
    def device(self) -> torch.device:
        """The device on which it takes images."""

    def predict(self, images: Float[Tensor, "batch ..."]) -> Float32[Tensor, "batch classes"]:
        """The logits for a batch of standardised inputs on `device`; they are returned on the processor."""


@dataclass(frozen=True, eq=False)
class TorchPredictor:
    """A network in PyTorch, evaluated in evaluation mode; its mode is restored afterwards.

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
        """The logits for a batch of standardised inputs on `device`; they are returned on the processor."""
        was_training = self.model.training
        self.model.eval()
        try:
            logits: Tensor = self.model(images)
            return logits.float().cpu()
        finally:
            self.model.train(was_training)


def collect_logits(predictor: Predictor, examples: Examples) -> Float32[Tensor, "samples classes"]:
    """The logits of every sample, in the order of the examples."""
    given = batches(examples, BATCH, None, predictor.device)
    return torch.cat([predictor.predict(inputs) for inputs, _ in given])
