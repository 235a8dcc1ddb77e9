"""What gradient ascent promises beyond the common contract."""

import copy

import pytest
import torch
from torch import nn

from obliq.data import Splits
from obliq.errors import ModelError
from obliq.methods import GradientAscent
from obliq.run import Run
from tests.methods.measured import gradient_on, loss_on, statistics_moved, steps_moved, unreadable


def test_the_forget_loss_rises(original: nn.Module, splits: Splits) -> None:
    result = GradientAscent(learning_rate=0.01, epochs=10).unlearn(original, splits, Run(seed=1))
    assert loss_on(result, splits.forget) > loss_on(original, splits.forget) + 0.1


def test_one_step_goes_up_the_gradient(original: nn.Module, splits: Splits) -> None:
    method = GradientAscent(epochs=1, learning_rate=0.01, momentum=0.0, weight_decay=0.0)
    result = method.unlearn(original, splits, Run(seed=1))
    gradient = gradient_on(copy.deepcopy(original).eval(), splits.forget)
    for before, after, slope in zip(original.parameters(), result.parameters(), gradient, strict=True):
        torch.testing.assert_close(after, before + 0.01 * slope)


def test_statistics_stay_unless_they_follow_the_forget_batches(original: nn.Module, splits: Splits) -> None:
    frozen = GradientAscent().unlearn(original, splits, Run(seed=1))
    assert not statistics_moved(original, frozen)
    assert steps_moved(original, frozen)
    following = GradientAscent(batch_norm="forget").unlearn(original, splits, Run(seed=1))
    assert statistics_moved(original, following)


def test_the_retain_set_is_never_read(original: nn.Module, splits: Splits) -> None:
    GradientAscent().unlearn(original, unreadable(splits, "retain"), Run(seed=1))


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 0},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"batch_size": 0},
        {"momentum": 1.0},
        {"weight_decay": -1.0},
    ],
)
def test_settings_out_of_range_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=next(iter(settings))):
        GradientAscent(**settings)
