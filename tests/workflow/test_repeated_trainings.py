"""Retrained networks that are one training twice are refused before anything is measured."""

import copy

import pytest
import torch
from torch import nn

from obliq.errors import AuditError
from obliq.workflow.repeated_trainings import require_different_networks


def trained(seed: int, *, frozen: bool = False) -> nn.Module:
    """A network of which `seed` moved the head, and unless it is frozen, the body too."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(20, 20), nn.Linear(20, 3))
    draws = torch.Generator().manual_seed(seed)
    for layer in (network[1],) if frozen else network:
        for one in layer.parameters():
            one.data += torch.randn(one.shape, generator=draws)
    return network


@pytest.mark.parametrize("frozen", [False, True], ids=["all layers", "the head alone"])
def test_other_seeds_pass_and_one_seed_twice_does_not(frozen: bool) -> None:
    original, first, second = (trained(seed, frozen=frozen) for seed in (1, 2, 3))
    require_different_networks(original, {"retrained": first, "retrained 2": second})
    again = copy.deepcopy(first)
    again[1].bias.data += 0.1  # what is calibrated afterwards may differ
    with pytest.raises(AuditError, match=r"retrained and retrained 3 share \d+ % of their trained weights"):
        require_different_networks(
            original, {"retrained": first, "retrained 2": second, "retrained 3": again}
        )


def test_networks_of_other_forms_are_not_compared() -> None:
    require_different_networks(trained(1), {"one": nn.Linear(2, 2), "other": nn.Linear(2, 2)})
