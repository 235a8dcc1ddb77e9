"""What SalUn promises beyond the common contract."""

import pytest
import torch
from torch import nn

from obliq.data import Splits
from obliq.errors import ModelError
from obliq.methods import RandomLabel, SalUn
from obliq.quantization import weight_codes, weighted_layers
from obliq.run import Run
from obliq.training.masks import saliency_mask
from tests.methods.measured import same, statistics_moved, steps_moved

SETTINGS = {"epochs": 3, "batch_size": 32, "momentum": 0.9, "weight_decay": 0.1}


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_what_the_mask_leaves_out_keeps_its_value_to_the_bit(
    original: nn.Module, splits: Splits, share: float
) -> None:
    """Although weight decay and momentum pull at every weight."""
    mask = saliency_mask(original, splits.forget, share=share, batch_size=32, run=Run(seed=1))
    result = SalUn(share=share, **SETTINGS).unlearn(original, splits, Run(seed=1))
    after = dict(result.named_parameters())
    moved = 0
    for name, before in original.named_parameters():
        assert torch.equal(before[~mask[name]], after[name][~mask[name]])
        moved += int((before != after[name]).sum())
    total = sum(parameter.numel() for parameter in original.parameters())
    assert sum(int(free.sum()) for free in mask.values()) == int(share * total)
    assert moved > 0.9 * share * total


def test_the_ends_of_the_share(original: nn.Module, splits: Splits) -> None:
    everything = SalUn(share=1.0, learning_rate=0.01, **SETTINGS).unlearn(original, splits, Run(seed=1))
    assert same(
        everything, RandomLabel(learning_rate=0.01, **SETTINGS).unlearn(original, splits, Run(seed=1))
    )
    nothing = SalUn(share=0.0, batch_norm="frozen", **SETTINGS).unlearn(original, splits, Run(seed=1))
    assert same(nothing, original)


def test_a_frozen_weights_code_can_move_with_its_step(original: nn.Module, splits: Splits) -> None:
    mask = saliency_mask(original, splits.forget, share=0.3, batch_size=32, run=Run(seed=1))
    result = SalUn(share=0.3, learning_rate=0.1, **SETTINGS).unlearn(original, splits, Run(seed=1))
    after = weighted_layers(result)
    changed = [
        (weight_codes(layer) != weight_codes(after[name]))[~mask[f"{name}.weight"]].any()
        for name, layer in weighted_layers(original).items()
    ]
    assert steps_moved(original, result)
    assert any(bool(some) for some in changed)


def test_no_mask_holds_the_statistics(original: nn.Module, splits: Splits) -> None:
    following = SalUn(share=0.0, **SETTINGS).unlearn(original, splits, Run(seed=1))
    assert statistics_moved(original, following)
    frozen = SalUn(batch_norm="frozen", **SETTINGS).unlearn(original, splits, Run(seed=1))
    assert not statistics_moved(original, frozen)


@pytest.mark.parametrize("settings", [{"share": 1.1}, {"share": -0.1}, {"batch_size": 0}])
def test_settings_out_of_range_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=next(iter(settings))):
        SalUn(**settings)
