"""Masks by saliency."""

import copy

import pytest
import torch
from torch import nn

from obliq.data import Splits
from obliq.run import Run
from obliq.training.masks import saliency_mask
from tests.methods.measured import gradient_on, same


@pytest.mark.parametrize("share", [0.0, 0.1, 0.37, 0.5, 1.0])
def test_the_share_is_exact_and_the_most_salient_come_first(
    original: nn.Module, splits: Splits, share: float
) -> None:
    mask = saliency_mask(original, splits.forget, share=share, batch_size=64, run=Run())
    named = dict(original.named_parameters())
    assert {name: free.shape for name, free in mask.items()} == {name: p.shape for name, p in named.items()}
    free = torch.cat([mask[name].flatten() for name in named])
    assert int(free.sum()) == int(share * len(free))
    gradient = gradient_on(copy.deepcopy(original).eval(), splits.forget)
    saliency = torch.cat([slope.abs().flatten() for slope in gradient])
    if 0 < share < 1:
        assert saliency[free].min() >= saliency[~free].max() - 1e-7


def test_the_network_is_left_as_it_was_whatever_its_mode(original: nn.Module, splits: Splits) -> None:
    before = copy.deepcopy(original)
    resting = saliency_mask(original, splits.forget, share=0.5, batch_size=5, run=Run())
    working = saliency_mask(
        copy.deepcopy(original).train(), splits.forget, share=0.5, batch_size=5, run=Run()
    )
    assert same(before, original)
    assert all(torch.equal(resting[name], working[name]) for name in resting)


def test_ties_go_in_the_order_of_the_network(splits: Splits) -> None:
    """Of a network of zeros only the last bias has a slope: all other entries are equally salient."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    network = nn.Sequential(network, nn.Linear(3, 3))
    nn.init.zeros_(network[1].weight)
    mask = saliency_mask(network, splits.forget, share=1.0 / 3, batch_size=4, run=Run())
    count = int(sum(p.numel() for p in network.parameters()) / 3)
    chosen = torch.cat([free.flatten() for free in mask.values()])
    salient = [name for name, free in mask.items() if name.startswith("1.bias") and bool(free.all())]
    assert salient == ["1.bias"], "the only parameter with a slope"
    assert bool(chosen[: count - 3].all())
