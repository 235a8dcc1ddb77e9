"""What selective dampening promises beyond the common contract."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from obliq.data import Splits
from obliq.errors import ModelError
from obliq.methods import SelectiveDampening
from obliq.quantization import learned_steps
from obliq.run import Run, Trace
from obliq.training.fisher import dampening_factors

CPU = torch.device("cpu")


@pytest.mark.parametrize("alpha", [1.5, 10.0])
def test_equal_importances_dampen_nothing(alpha: float) -> None:
    importance = torch.tensor([0.0, 1e-12, 0.3, 7.0])
    assert torch.equal(dampening_factors(importance, importance, alpha, 0.1), torch.ones(4))


def test_factors_by_hand() -> None:
    forget = torch.tensor([8.0, 8.0, 1.0, 4.0, 2.0])
    overall = torch.tensor([1.0, 3.0, 1.0, 0.0, 1.0])
    # chosen where forget > 2 * overall: the first (1/8), the second (3/8), the fourth (0)
    assert dampening_factors(forget, overall, 2.0, 1.0).tolist() == [0.125, 0.375, 1.0, 0.0, 1.0]
    assert dampening_factors(forget, overall, 2.0, 100.0).tolist() == [1.0, 1.0, 1.0, 0.0, 1.0], (
        "never enlarged"
    )


@pytest.mark.parametrize("alpha", [0.0, 1e300])
def test_factors_are_numbers_where_a_setting_is_beyond_float32(alpha: float) -> None:
    forget, overall = torch.tensor([1.0, 1.0, 0.0]), torch.tensor([0.0, 1e-40, 0.0])
    found = dampening_factors(forget, overall, alpha, 1e300)
    assert found[0] == 0.0
    assert bool(torch.isfinite(found).all())


def test_the_network_is_multiplied_by_the_factors(original: nn.Module, splits: Splits) -> None:
    method = SelectiveDampening(alpha=2.0, dampening=0.5, batch_size=512)
    result = method.unlearn(original, splits, Run(seed=1))

    def squares(indices: torch.Tensor) -> tuple[torch.Tensor, ...]:
        collection = splits.forget.collection
        loss = F.cross_entropy(original(collection.fetch(indices)), collection.labels[indices])
        gradients = torch.autograd.grad(loss, list(original.parameters()))
        return tuple(gradient**2 for gradient in gradients)

    forget = squares(splits.forget.indices)
    overall = squares(torch.cat([splits.forget.indices, splits.retain.indices]))
    fixed = {id(step) for step in learned_steps(original)}
    dampened = 0
    pairs = zip(original.parameters(), result.parameters(), forget, overall, strict=True)
    for before, after, of_forget, of_all in pairs:
        factor = (
            dampening_factors(of_forget, of_all, 2.0, 0.5)
            if id(before) not in fixed
            else torch.ones_like(before)
        )
        close = torch.isclose(after, before * factor, rtol=1e-2, atol=1e-5)
        # one at the very threshold may fall on the other side in another order of summation
        assert int((~close).sum()) <= 2
        dampened += int((factor < 1).sum())
    assert dampened > 10


def test_nothing_is_dampened_where_nothing_stands_out(original: nn.Module, splits: Splits) -> None:
    trace = Trace()
    result = SelectiveDampening(alpha=1e9).unlearn(original, splits, Run(seed=1, listen=trace))
    before, after = original.state_dict(), result.state_dict()
    zero_importance = trace.rows[0]["dampened_parameters"]
    assert zero_importance == 0
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_steps_and_statistics_stay_and_magnitudes_only_fall(original: nn.Module, splits: Splits) -> None:
    result = SelectiveDampening(alpha=1.0, batch_size=4).unlearn(original, splits, Run(seed=1))
    assert all(torch.equal(a, b) for a, b in zip(learned_steps(original), learned_steps(result), strict=True))
    before, after = dict(original.named_buffers()), dict(result.named_buffers())
    assert all(torch.equal(before[name], after[name]) for name in before)
    pairs = list(zip(original.parameters(), result.parameters(), strict=True))
    assert all(bool((after.abs() <= before.abs()).all()) for before, after in pairs)
    assert any(not torch.equal(before, after) for before, after in pairs)


@pytest.mark.parametrize("settings", [{"alpha": -1.0}, {"dampening": float("nan")}, {"batch_size": 0}])
def test_settings_out_of_range_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=next(iter(settings))):
        SelectiveDampening(**settings)
