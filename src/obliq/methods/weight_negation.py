"""NoT: negate the weights of the first layer, then train on the retain set.

Paper: Khalil et al., "NoT: federated unlearning via weight negation" (CVPR 2025, arXiv 2503.05657). Reference code:
none published. Reconstructed from descriptions of the paper: of all layers, negating the first one forgets most per
epoch of repair. The forget set is not read, so the method works without it.

Deviations: one network and one data set, without clients. `learning_rate` and `epochs` of the paper are unknown to us;
the defaults are those of `fine-tune` with a larger rate and smaller batches. The first layer is the one that the
network registers first. Cosine schedule. Weights alone are negated, not the biases.

In quantized networks latent weights are negated. Codes lie in a symmetric range, so that every code has its negative,
and the negation is exact. Steps stay positive. Almost every code of the layer changes, so that a patch holds all of
the layer. Then every parameter is trained, learned steps included, and batch-norm statistics follow the retain set. A
learned step changes by at most a tenth in one update (`obliq.quantization.keep_steps_near_`). A layer whose weights
are frozen is passed over.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from obliq.data import Splits
from obliq.data.batches import batches
from obliq.methods.method import Search
from obliq.run import Run
from obliq.training.descent import descend, require_descent
from obliq.training.loop import move_to_device, require_at_least, seeded, steps_per_epoch
from obliq.training.masks import Mask
from obliq.training.passes import Passes, SetSizes


@final
@dataclass(frozen=True, kw_only=True)
class NoT:
    """Negate the first layer's weights and repair on the retain set. Defaults are starting points, not tuned.

    Attributes:
        layers: Negate the `first` layer with weights, as the paper does, or `all`.
        epochs: Passes over the retain set.
        learning_rate: Learning rate at the start. It falls to zero along half a cosine.
        batch_size: Samples per step.
        momentum: Momentum of the descent.
        weight_decay: Weight decay, applied to weights only.
        augment: Use random crops and flips, for natural images.
    """

    version: ClassVar[int] = 1
    search: ClassVar[Search] = {"learning_rate": (0.01, 0.03, 0.1, 0.2, 0.4, 0.6)}

    layers: Literal["first", "all"] = "first"
    epochs: int = 5
    learning_rate: float = 0.05
    batch_size: int = 64
    momentum: float = 0.9
    weight_decay: float = 5e-4
    augment: bool = False

    def __post_init__(self) -> None:
        require_at_least(1, epochs=self.epochs, batch_size=self.batch_size)
        require_descent(
            learning_rate=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )

    def count_passes(self, sizes: SetSizes) -> Passes:
        """Passes over the retain set."""
        return Passes.exactly(self.epochs * sizes.retain)

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after negation and training on the retain set; outside `mask` it stays as it was."""
        with seeded(run):
            network = move_to_device(copy.deepcopy(model), run).train()
            negate_weights_(network, first_only=self.layers == "first", mask=mask)
            order = run.generator(purpose=1)

            def losses(epoch: int) -> Iterator[Tensor]:
                for inputs, labels in batches(
                    splits.retain, self.batch_size, order, run.device, self.augment
                ):
                    yield F.cross_entropy(network(inputs), labels)

            descend(
                network,
                losses,
                epochs=self.epochs,
                total=self.epochs * steps_per_epoch(len(splits.retain), self.batch_size),
                learning_rate=self.learning_rate,
                momentum=self.momentum,
                weight_decay=self.weight_decay,
                run=run,
                mask=mask,
            )
            return network.eval()


@torch.no_grad()
def negate_weights_(network: nn.Module, *, first_only: bool, mask: Mask | None = None) -> None:
    """Negate the weights of convolutions and linear layers, in place.

    Args:
        network: float or quantized, whose latent weights are negated.
        first_only: only the first such layer, in the order in which the network registers them.
        mask: the entries that may change; None for all.
    """
    for name, layer in network.named_modules():
        if not isinstance(layer, nn.Linear | _ConvNd) or not layer.weight.requires_grad:
            continue
        free = (
            torch.ones((), dtype=torch.bool) if mask is None else mask[f"{name}.weight" if name else "weight"]
        )
        layer.weight.copy_(torch.where(free.to(layer.weight.device), -layer.weight, layer.weight))
        if first_only:
            return
