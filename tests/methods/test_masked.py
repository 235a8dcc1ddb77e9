"""What the mask around another method promises."""

import inspect
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from obliq.data import Splits
from obliq.errors import ModelError
from obliq.methods import (
    BUILT_IN,
    Calibrated,
    FiCABU,
    FineTune,
    Influence,
    Masked,
    Method,
    RandomLabel,
    Retrain,
    SalUn,
    SelectiveDampening,
)
from obliq.run import Run
from obliq.training.masks import Mask, saliency_mask
from tests.methods.measured import same

SETTINGS = {"epochs": 2, "learning_rate": 0.01, "batch_size": 32}
MASKABLE = {
    name: kind for name, kind in BUILT_IN.items() if "mask" in inspect.signature(kind.unlearn).parameters
}


def test_around_random_labels_it_is_salun(original: nn.Module, splits: Splits) -> None:
    wrapped = Masked(method=RandomLabel(**SETTINGS), share=0.4, batch_size=32)
    assert same(
        wrapped.unlearn(original, splits, Run(seed=1)),
        SalUn(share=0.4, **SETTINGS).unlearn(original, splits, Run(seed=1)),
    )


@pytest.mark.parametrize("kind", MASKABLE.values(), ids=MASKABLE.keys())
def test_every_method_that_takes_a_mask_holds_it(
    kind: type[Method], original: nn.Module, splits: Splits
) -> None:
    """`Masked` itself checks every entry and would raise."""
    one_edit = {
        SelectiveDampening: {"alpha": 1.0, "batch_size": 4},
        Influence: {"samples": 20},
        FiCABU: {"alpha": 1.0},
    }
    method = kind(**one_edit.get(kind, {"epochs": 2}))
    result = Masked(method=method, share=0.2).unlearn(original, splits, Run(seed=1))
    assert not same(result, original)


def test_masked_training_is_not_a_result_with_the_rest_put_back(original: nn.Module, splits: Splits) -> None:
    method = RandomLabel(**SETTINGS)
    mask = saliency_mask(original, splits.forget, share=0.4, batch_size=32, run=Run(seed=1))
    trained = dict(method.unlearn(original, splits, Run(seed=1), mask=mask).named_parameters())
    free = dict(method.unlearn(original, splits, Run(seed=1)).named_parameters())
    assert any(not torch.equal(trained[name][mask[name]], free[name][mask[name]]) for name in mask)


def test_a_method_without_a_mask_is_named() -> None:
    with pytest.raises(ModelError, match="Retrain takes no mask"):
        Masked(method=Retrain())


def test_a_method_that_does_not_hold_its_mask_is_found_out(original: nn.Module, splits: Splits) -> None:
    @dataclass(frozen=True)
    class Careless:
        def unlearn(
            self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None
        ) -> nn.Module:
            return FineTune(epochs=1).unlearn(model, splits, run)

    with pytest.raises(ModelError, match=r"Careless moved .* outside the mask"):
        Masked(method=Careless()).unlearn(original, splits, Run(seed=1))


def test_orthogonal_entropy_holds_a_mask_and_counts_only_what_moved(
    original: nn.Module, splits: Splits
) -> None:
    method = Calibrated(epochs=2)
    result = Masked(method=method, share=0.2).unlearn(original, splits, Run(seed=1))
    free = saliency_mask(original, splits.forget, share=0.2, batch_size=128, run=Run(seed=1))
    before, after = dict(original.named_parameters()), dict(result.named_parameters())
    moved = {name: after[name] != before[name] for name in before}
    assert any(bool(one.any()) for one in moved.values())
    assert not any(bool((moved[name] & ~free[name]).any()) for name in moved)
