"""Batch norm's means and variances, measured with the weights that a training ended with.

During training, batch norm follows its batches by running averages (momentum 0.1). After few steps, these still hold
activations of earlier weights, whose variances can be many times larger, and the network that is right on every batch
in training mode is wrong in evaluation mode. ResNet-20 at W8A8 after 40 steps: 34.6 % with running averages, 91.7 %
with measured ones (`benchmarks/results/default_rates.md`).

Source: Wu and Johnson, Rethinking "Batch" in BatchNorm, arXiv:2105.07576, section 3 (PreciseBN). Their population
variance is replaced by the mean of the batches' variances. A batch counts by its samples.
"""

from typing import Literal

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from obliq.data import Examples
from obliq.data.batches import batches
from obliq.run import Run

NormStatistics = Literal["running", "measured"]


@torch.no_grad()
def measure_norm_statistics_(
    model: nn.Module, examples: Examples, batch_size: int, run: Run, *, augment: bool
) -> None:
    """Set running means and variances to their averages over one pass, in place; the network ends in evaluation mode.

    Dropout is off. Batch norm whose own parameters are all frozen keeps its statistics.

    Args:
        model: a network on the run's device.
        examples: training samples, as the training read them.
        batch_size: samples a batch, as in training.
        run: device, and the seed of the order.
        augment: random crops and flips, as in training.
    """
    model.eval()
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and _follows(module)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
    seen = 0
    for inputs, _ in batches(examples, batch_size, run.generator(purpose=10), run.device, augment):
        seen += len(inputs)
        for norm in norms:
            norm.momentum = len(inputs) / seen  # makes running averages those of all samples so far
        model(inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def _follows(norm: _BatchNorm) -> bool:
    own = list(norm.parameters())
    return norm.track_running_stats and (not own or any(parameter.requires_grad for parameter in own))
