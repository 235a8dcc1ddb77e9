"""What gradient difference promises beyond the common contract."""

import copy

import pytest
import torch
from torch import nn

from obliq.data import Splits
from obliq.errors import ModelError
from obliq.methods import FineTune, GradientDifference
from obliq.run import Run
from tests.methods.measured import gradient_on, loss_on, same, statistics, statistics_moved, steps_moved


def test_with_all_weight_on_the_retain_set_it_is_fine_tuning(original: nn.Module, splits: Splits) -> None:
    result = GradientDifference(retain_weight=1.0, epochs=2, learning_rate=0.01).unlearn(
        original, splits, Run(seed=1)
    )
    assert same(result, FineTune(epochs=2, learning_rate=0.01).unlearn(original, splits, Run(seed=1)))


def test_the_forget_loss_ends_above_that_of_fine_tuning(original: nn.Module, splits: Splits) -> None:
    result = GradientDifference(retain_weight=0.7, epochs=10, learning_rate=0.01).unlearn(
        original, splits, Run(seed=1)
    )
    tuned = FineTune(epochs=10).unlearn(original, splits, Run(seed=1))
    assert loss_on(result, splits.forget) > loss_on(tuned, splits.forget) + 0.05


def test_one_step_follows_the_difference_of_the_gradients(original: nn.Module, splits: Splits) -> None:
    method = GradientDifference(
        retain_weight=0.7,
        epochs=1,
        learning_rate=0.01,
        retain_batch=500,
        momentum=0.0,
        weight_decay=0.0,
        batch_norm="frozen",
    )
    result = method.unlearn(original, splits, Run(seed=1))
    network = copy.deepcopy(original).eval()
    slopes = zip(gradient_on(network, splits.retain), gradient_on(network, splits.forget), strict=True)
    for before, after, (kept, gone) in zip(original.parameters(), result.parameters(), slopes, strict=True):
        torch.testing.assert_close(after, before - 0.01 * (0.7 * kept - 0.3 * gone))


def test_statistics_follow_the_chosen_batches(original: nn.Module, splits: Splits) -> None:
    """After one step they have seen the original's weights alone, so fine-tuning's are the same."""
    settings = {"epochs": 1, "retain_batch": 500}
    tuned = FineTune(epochs=1, batch_size=500).unlearn(original, splits, Run(seed=1))
    frozen, retain, everything = (
        GradientDifference(batch_norm=name, **settings).unlearn(original, splits, Run(seed=1))
        for name in ("frozen", "retain", "all")
    )
    assert not statistics_moved(original, frozen)
    assert all(torch.equal(a, b) for a, b in zip(statistics(retain), statistics(tuned), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(statistics(everything), statistics(tuned), strict=True))
    assert steps_moved(original, frozen)


@pytest.mark.parametrize(
    "settings", [{"retain_weight": 1.5}, {"retain_weight": float("nan")}, {"forget_batch": 0}]
)
def test_settings_out_of_range_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=next(iter(settings))):
        GradientDifference(**settings)
