"""What fine-tuning promises beyond the common contract."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from obliq.data import Splits
from obliq.errors import ModelError
from obliq.methods import FineTune, Masked
from obliq.run import Run
from obliq.training.loop import Recipe, fit
from obliq.training.masks import saliency_mask
from tests.methods.measured import same, unreadable

SETTINGS = {"epochs": 3, "learning_rate": 0.02, "batch_size": 32}


@pytest.mark.parametrize("settings", [SETTINGS, {}], ids=["three epochs", "defaults"])
def test_it_is_training_on_the_retain_set_to_the_bit(
    settings: dict[str, float], original: nn.Module, splits: Splits
) -> None:
    method = FineTune(**settings)
    recipe = Recipe(
        epochs=method.epochs, learning_rate=method.learning_rate, batch_size=method.batch_size, warmup=0.0
    )
    expected = fit(original, splits.retain, recipe, Run(seed=1))
    assert same(method.unlearn(original, splits, Run(seed=1)), expected)


def test_the_forget_set_is_never_read(original: nn.Module, splits: Splits) -> None:
    FineTune(epochs=1).unlearn(original, unreadable(splits, "forget"), Run(seed=1))


def test_a_mask_that_frees_everything_changes_nothing(original: nn.Module, splits: Splits) -> None:
    free = {name: torch.ones_like(value, dtype=torch.bool) for name, value in original.named_parameters()}
    method = FineTune(**SETTINGS)
    assert same(
        method.unlearn(original, splits, Run(seed=1), mask=free),
        method.unlearn(original, splits, Run(seed=1)),
    )


def test_within_a_mask_what_is_free_moves_and_the_rest_stays(original: nn.Module, splits: Splits) -> None:
    mask = saliency_mask(original, splits.forget, share=0.3, batch_size=32, run=Run(seed=1))
    wrapped = Masked(method=FineTune(**SETTINGS), share=0.3, batch_size=32)
    result = dict(wrapped.unlearn(original, splits, Run(seed=1)).named_parameters())
    for name, before in original.named_parameters():
        assert torch.equal(result[name][~mask[name]], before[~mask[name]])
    assert any(not torch.equal(result[name], before) for name, before in original.named_parameters())


@pytest.mark.parametrize("settings", [{"epochs": 0}, {"learning_rate": 0.0}, {"momentum": 1.0}])
def test_settings_out_of_range_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=next(iter(settings))):
        replace(FineTune(), **settings)
