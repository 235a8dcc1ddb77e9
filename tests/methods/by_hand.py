"""Problems that are small enough to compute a method's first step by hand."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from obliq.data import Collection, Examples, Partition, Splits
from obliq.methods import Method
from obliq.run import Run

Samples = Sequence[tuple[Sequence[float], int]]
"""Inputs with their labels."""


def splits_by_hand(
    *, forget: Samples, retain: Samples = (((1.0, 1.0), 0),), holdout: Samples = (((1.0, 1.0), 0),)
) -> Splits:
    """Splits of exactly these samples; methods do not read the test set."""
    samples = [*forget, *retain, *holdout, ((0.0, 0.0), 1)]
    inputs = torch.tensor([list(one) for one, _ in samples])
    collection = Collection("by hand", inputs, torch.tensor([label for _, label in samples]))
    trained = len(forget) + len(retain)
    train, held_out, test = (
        Examples(collection, one) for one in torch.arange(len(samples)).split([trained, len(holdout), 1])
    )
    parts = Partition(rule=None, train=train, holdout=held_out, test=test)
    return parts.forgetting(torch.arange(len(forget)), salt=b"1" * 32)


def linear(*weights: Sequence[Sequence[float]]) -> nn.Sequential:
    """Linear layers with these weights, without biases and rounding."""
    layers = [nn.Linear(len(rows[0]), len(rows), bias=False) for rows in weights]
    for layer, rows in zip(layers, weights, strict=True):
        layer.weight.data = torch.tensor([list(row) for row in rows])
    return nn.Sequential(*layers)


def first_step(method: Method, network: nn.Module, splits: Splits) -> list[Tensor]:
    """By how much each parameter falls in the only step of a method, divided by its learning rate."""
    result = method.unlearn(network, splits, Run(seed=1))
    pairs = zip(network.parameters(), result.parameters(), strict=True)
    return [(before - after).detach() / method.learning_rate for before, after in pairs]
