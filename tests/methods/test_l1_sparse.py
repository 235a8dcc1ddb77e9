"""What l1-sparse promises beyond the common contract."""

import pytest
import torch
from torch import nn

from obliq.data import Splits
from obliq.errors import ModelError
from obliq.methods import FineTune, L1Sparse
from obliq.quantization import weight_codes, weighted_layers
from obliq.run import Run
from obliq.training.loop import is_decayed
from tests.methods.measured import same, statistics_moved, steps_moved


def l1(model: nn.Module) -> float:
    return sum(parameter.abs().sum().item() for parameter in model.parameters() if is_decayed(parameter))


def zeros(model: nn.Module) -> int:
    return sum(int((weight_codes(layer) == 0).sum()) for layer in weighted_layers(model).values())


def test_without_penalty_it_is_fine_tuning(original: nn.Module, splits: Splits) -> None:
    result = L1Sparse(penalty=0.0, epochs=2).unlearn(original, splits, Run(seed=1))
    assert same(result, FineTune(epochs=2).unlearn(original, splits, Run(seed=1)))


def test_weights_shrink_more_than_in_fine_tuning_and_more_codes_are_zero(
    original: nn.Module, splits: Splits
) -> None:
    sparse = L1Sparse(penalty=0.05, epochs=10).unlearn(original, splits, Run(seed=1))
    tuned = FineTune(epochs=10).unlearn(original, splits, Run(seed=1))
    assert l1(sparse) < 0.9 * l1(tuned)
    assert zeros(sparse) > zeros(tuned)


def test_the_penalty_falls_to_zero_along_a_line() -> None:
    method = L1Sparse(penalty=1.0, epochs=5)
    assert [method.penalty_at(epoch) for epoch in range(1, 7)] == pytest.approx([1, 0.8, 0.6, 0.4, 0.2, 0])
    method = L1Sparse(penalty=1.0, epochs=5, unpenalised_epochs=3)
    assert [method.penalty_at(epoch) for epoch in range(1, 6)] == pytest.approx([1, 0.5, 0, 0, 0])
    assert L1Sparse(penalty=1.0, epochs=2, unpenalised_epochs=2).penalty_at(1) == 0


def test_steps_norms_and_biases_feel_no_penalty(original: nn.Module, splits: Splits) -> None:
    """One step from fine-tuning differs by rate x penalty x sign on weights, and by nothing elsewhere."""
    settings = {"epochs": 1, "batch_size": 500, "momentum": 0.0, "weight_decay": 0.0, "learning_rate": 0.01}
    sparse = L1Sparse(penalty=0.5, **settings).unlearn(original, splits, Run(seed=1))
    tuned = FineTune(**settings).unlearn(original, splits, Run(seed=1))
    for before, with_penalty, without in zip(
        original.parameters(), sparse.parameters(), tuned.parameters(), strict=True
    ):
        if is_decayed(before):
            torch.testing.assert_close(
                without - with_penalty, 0.01 * 0.5 * before.sign(), rtol=1e-4, atol=1e-6
            )
        else:
            assert torch.equal(with_penalty, without)


def test_statistics_follow_the_retain_set_and_steps_learn(original: nn.Module, splits: Splits) -> None:
    result = L1Sparse(epochs=1).unlearn(original, splits, Run(seed=1))
    assert statistics_moved(original, result)
    assert steps_moved(original, result)


@pytest.mark.parametrize(
    "settings", [{"penalty": -1.0}, {"unpenalised_epochs": 6}, {"unpenalised_epochs": -1}]
)
def test_settings_out_of_range_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=next(iter(settings))):
        L1Sparse(epochs=5, **settings)
