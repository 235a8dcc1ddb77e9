"""CoUn: train on the retain set with labels and with a contrastive loss between two views of each sample.

Paper: Khalil et al., "CoUn: empowering machine unlearning via contrastive learning" (NeurIPS 2025, arXiv 2509.16391).
Reference code: none published by the authors. Reconstructed from the abstract and from descriptions. With z the
penultimate features of two views of each of N retained samples, scaled to length 1, and v' the other view of v,

    L = CE(first views) + weight * mean_v -log (exp(<z_v, z_v'> / t) / sum_(u != v) exp(<z_v, z_u> / t))     (1)

The sum has 2N - 1 terms. Retained samples that look like each other come together and apart by what they look like, and
forgotten samples follow those that they resemble. The forget set is not read, so the method works without it.

Deviations: `weight`, `temperature` (t), `learning_rate` and `epochs` are unknown to us, and are starting points. Views
are random crops and flips with `augment`, as usual for natural images, and the border that a shift uncovers has the
mean colour (black in training). Without it they are the sample with Gaussian noise (ours), which suits any data. Both
views pass through the network together. Cosine schedule. Weight decay leaves learned steps, batch norm and biases
alone.

In quantized networks features are taken before the last layer, after the quantizer of its input. Every parameter is
trained, learned steps included, and batch-norm statistics follow the views. A learned step changes by at most a tenth
in one update (`obliq.quantization.keep_steps_near_`).
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from obliq.data import Splits
from obliq.data.batches import batches, crop_and_mirror
from obliq.methods.method import Search
from obliq.run import Run
from obliq.training.descent import descend, require_above, require_descent
from obliq.training.linear_probe import last_linear
from obliq.training.loop import move_to_device, require_at_least, seeded, steps_per_epoch
from obliq.training.masks import Mask
from obliq.training.passes import Passes, SetSizes


@final
@dataclass(frozen=True, kw_only=True)
class CoUn:
    """Train on the retain set with labels and a contrastive loss. Defaults are starting points, not tuned.

    Attributes:
        weight: Weight of the contrastive loss.
        temperature: Temperature of the contrastive loss.
        noise: Standard deviation of the noise that makes a view, in standardised input values. It has no effect with
            `augment`.
        epochs: Passes over the retain set.
        learning_rate: Learning rate at the start. It falls to zero along half a cosine.
        batch_size: Samples per step, each in two views.
        momentum: Momentum of the descent.
        weight_decay: Weight decay, applied to weights only.
        augment: Make views by random crops and flips, for natural images.
    """

    version: ClassVar[int] = 1
    search: ClassVar[Search] = {"learning_rate": (0.01, 0.05, 0.2), "weight": (0.3, 1.0)}

    weight: float = 1.0
    temperature: float = 0.1
    noise: float = 0.1
    epochs: int = 5
    learning_rate: float = 0.03
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    augment: bool = False

    def __post_init__(self) -> None:
        require_at_least(1, epochs=self.epochs, batch_size=self.batch_size)
        require_at_least(0, weight=self.weight, noise=self.noise)
        require_above(0, temperature=self.temperature)
        require_descent(
            learning_rate=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )

    def count_passes(self, sizes: SetSizes) -> Passes:
        """Each retained sample in two views."""
        return Passes.exactly(2 * self.epochs * sizes.retain)

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after training on both losses; outside `mask` it stays as it was.

        Raises:
            ModelError: for a network without a linear layer at its end, whose inputs are the features.
        """
        with seeded(run):
            network = move_to_device(copy.deepcopy(model), run).train()
            last = network.get_submodule(last_linear(network))
            order, draws = run.generator(purpose=1), run.generator(purpose=8)

            def view(inputs: Tensor) -> Tensor:
                if self.augment:
                    return crop_and_mirror(inputs, draws)
                return inputs + self.noise * torch.randn(inputs.shape, generator=draws).to(inputs.device)

            def losses(epoch: int) -> Iterator[Tensor]:
                for inputs, labels in batches(splits.retain, self.batch_size, order, run.device):
                    found: list[Tensor] = []
                    hook = last.register_forward_pre_hook(lambda _, given: found.append(given[0]))  # noqa: B023
                    try:
                        logits = network(torch.cat([view(inputs), view(inputs)]))
                    finally:
                        hook.remove()
                    first, second = found[-1].float().flatten(1).chunk(2)
                    supervised = F.cross_entropy(logits[: len(labels)], labels)
                    yield supervised + self.weight * contrastive_loss(first, second, self.temperature)

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


def contrastive_loss(
    first: Float[Tensor, "batch features"], second: Float[Tensor, "batch features"], temperature: float
) -> Float[Tensor, ""]:
    """The contrastive term of equation (1), averaged over all views of both kinds.

    Source: InfoNCE in the form of Chen et al., "A simple framework for contrastive learning" (ICML 2020), NT-Xent.
    """
    views = F.normalize(torch.cat([first, second]), dim=1)
    alike = (views @ views.T / temperature).fill_diagonal_(-torch.inf)  # a view is not compared with itself
    count = len(first)
    partner = torch.arange(2 * count, device=views.device).roll(count)
    return F.cross_entropy(alike, partner)
