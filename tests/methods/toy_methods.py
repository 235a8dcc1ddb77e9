"""Methods of forms that no built-in method has: one without epochs or batches, one without random draws.

Source: ours, for tests of what the contract asks of a new method.

In quantized networks latent weights move, and learned steps and batch norm stay as they are.
"""

import copy
from dataclasses import dataclass
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.data import Splits
from obliq.methods.method import Access, Search
from obliq.run import Run
from obliq.training.loop import is_decayed, move_to_device


@final
@dataclass(frozen=True, kw_only=True)
class Noisy:
    """Add noise to the weights, once."""

    version: ClassVar[int] = 1
    access: ClassVar[Access] = "nothing"
    search: ClassVar[Search] = {"noise": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)}

    noise: float = 0.01

    def unlearn(self, model: nn.Module, splits: Splits, run: Run) -> nn.Module:
        """The network with noise; the data are not read."""
        network, draws = move_to_device(copy.deepcopy(model), run), run.generator(purpose=8)
        for weight in trained_weights(network):
            drawn = torch.randn(weight.shape, generator=draws).to(run.device)
            weight.data += self.noise * weight.data.std() * drawn
        return network.eval()


@final
@dataclass(frozen=True, kw_only=True)
class WholeAscent:
    """Ascend on the whole forget set at once, in evaluation mode, so that there is nothing to draw."""

    version: ClassVar[int] = 1
    access: ClassVar[Access] = "nothing"
    search: ClassVar[Search] = {"learning_rate": (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3)}

    epochs: int = 5
    learning_rate: float = 1e-3

    def unlearn(self, model: nn.Module, splits: Splits, run: Run) -> nn.Module:
        """The network after as many steps as there are epochs."""
        network = move_to_device(copy.deepcopy(model), run).eval()
        inputs, labels = splits.forget.inputs().to(run.device), splits.forget.labels.to(run.device)
        weights = trained_weights(network)
        for _ in range(self.epochs):
            slopes = torch.autograd.grad(F.cross_entropy(network(inputs), labels), weights)
            for weight, slope in zip(weights, slopes, strict=True):
                weight.data += self.learning_rate * slope
        return network


@final
@dataclass(frozen=True, kw_only=True)
class FixedNoise:
    """Add noise that is the same under every seed, which the contract forbids."""

    version: ClassVar[int] = 1
    access: ClassVar[Access] = "nothing"

    def unlearn(self, model: nn.Module, splits: Splits, run: Run) -> nn.Module:
        """The network with noise that the run does not decide."""
        return Noisy().unlearn(model, splits, Run(seed=0))


def trained_weights(network: nn.Module) -> list[Tensor]:
    return [one for one in network.parameters() if one.requires_grad and is_decayed(one)]
