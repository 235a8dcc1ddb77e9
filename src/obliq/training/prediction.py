"""The answers of a model, however it is computed: logits for given samples, and how many of them are right."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from obliq.data import DataLike, Examples, as_examples
from obliq.data.batches import batches
from obliq.run import device_of

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


@contextmanager
def in_evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and every module in it back into its own mode afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@dataclass(frozen=True, eq=False)
class TorchPredictor:
    """A network in PyTorch, evaluated in evaluation mode; every module's mode is restored afterwards.

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
        with in_evaluation_mode(self.model):
            logits: Tensor = self.model(images)
            return logits.float().cpu()


def collect_logits(predictor: Predictor, examples: Examples) -> Float32[Tensor, "samples classes"]:
    """The logits of every sample, in the order of the examples."""
    given = batches(examples, BATCH, None, predictor.device)
    return torch.cat([predictor.predict(inputs) for inputs, _ in given])


def predict(
    model: nn.Module, data: DataLike, device: torch.device | None = None
) -> Float[Tensor, "samples classes"]:
    """Compute the logits of a network for every sample, in evaluation mode; the mode is restored.

    Args:
        model: any module from inputs (batch, ...) to logits (batch, classes).
        data: a map-style data set of (input, label), a pair of tensors, or samples of ours.
        device: where the network is and computes; found out when left out.

    Returns:
        Logits on the processor, in float32.

    Raises:
        DataError: for data that cannot be read.

    Example:
        >>> import obliq
        >>> data = obliq.load_dataset("digits")
        >>> network = obliq.create_network("convnet", data.sample_shape, data.classes)
        >>> obliq.predict(network, data).shape
        torch.Size([1797, 10])
    """
    return collect_logits(TorchPredictor(model, device or device_of(model)), as_examples(data))


def accuracy(model: nn.Module, data: DataLike, device: torch.device | None = None) -> float:
    """Compute the share of samples whose largest logit is the true class's, in percent; arguments as for `predict`.

    Example:
        >>> import obliq
        >>> data = obliq.load_dataset("digits")
        >>> network = obliq.create_network("convnet", data.sample_shape, data.classes)
        >>> 0 <= obliq.accuracy(network, data) <= 100
        True
    """
    examples = as_examples(data)
    right = predict(model, examples, device).argmax(dim=1) == examples.labels
    return 100 * right.float().mean().item()
