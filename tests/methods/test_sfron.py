"""What SFRon promises beyond the common contract."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.data import Splits
from obliq.errors import ModelError
from obliq.gradients import gradient_of
from obliq.methods import FineTune, SFRon
from obliq.methods.sfron import importance_mask, small_loss_weighted_mean
from obliq.run import Run, Trace
from obliq.training.descent import loss_with_gradient
from tests.methods.measured import loss_on, statistics, statistics_moved, steps_moved

WHOLE = {"epochs": 1, "retain_batch": 500, "forget_batch": 500, "momentum": 0.0, "weight_decay": 0.0}


def test_weights_of_the_forget_loss() -> None:
    """A closed form; the gradient of each sample's loss is its weight."""
    losses = torch.tensor([0.25, 1.0, 4.0], requires_grad=True)
    weights = torch.tensor([2.0, 1.0, 0.5]) / 3.5
    value = small_loss_weighted_mean(losses, 0.5)
    torch.testing.assert_close(value, (weights * losses).sum())
    torch.testing.assert_close(torch.autograd.grad(value, losses)[0], weights)
    torch.testing.assert_close(small_loss_weighted_mean(losses, 0.0), losses.mean())


def test_a_loss_of_zero_does_not_silence_its_batch() -> None:
    """In the public code it takes all the weight but one part in 10^7, and has no gradient to give."""
    losses = torch.tensor([0.0, 1.0], requires_grad=True)
    (weights,) = torch.autograd.grad(small_loss_weighted_mean(losses, 0.5), losses)
    torch.testing.assert_close(weights.sum(), torch.tensor(1.0))
    assert weights[1] > 1e-4


def test_entries_are_salient_by_the_ratio_of_importances() -> None:
    forget, retain = torch.tensor([2.0, 1.0, 0.5, 0.0, 1e-9]), torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0])
    assert importance_mask(forget, retain, 1.0).tolist() == [True, True, False, True, True]
    assert importance_mask(forget, retain, 1.5).tolist() == [True, False, False, False, True]
    assert bool(importance_mask(forget, retain, 0.0).all())


def test_a_loss_is_given_another_gradient() -> None:
    parameters = [nn.Parameter(torch.randn(3, 2)), nn.Parameter(torch.randn(2))]
    wanted = [torch.randn(3, 2), torch.randn(2)]
    loss = loss_with_gradient(torch.tensor(-1.25), parameters, wanted)
    assert loss.item() == -1.25
    found = gradient_of(loss, parameters)
    assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))


def by_hand(original: nn.Module, splits: Splits, method: SFRon) -> list[Tensor]:
    """One masked and shortened ascent, then one repair, both on whole sets, rates of half a cosine apart."""
    network = copy.deepcopy(original).eval()
    parameters = list(network.parameters())

    def slope(examples: object, power: float | None) -> list[Tensor]:
        each = F.cross_entropy(network(examples.inputs()), examples.labels, reduction="none")
        weights = torch.ones_like(each) if power is None else 1 / each.detach() ** power
        return list(torch.autograd.grad((weights * each).sum() / weights.sum(), parameters))

    of_forget, of_retain = slope(splits.forget, None), slope(splits.retain, None)
    mask = [f**2 >= method.threshold * r**2 for f, r in zip(of_forget, of_retain, strict=True)]
    ascent = [g * m for g, m in zip(slope(splits.forget, method.power), mask, strict=True)]
    length = method.forget_weight * math.sqrt(sum(float((g**2).sum()) for g in ascent))
    weight = method.forget_weight * (min(1.0, method.clip / length) if method.clip else 1.0)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, ascent, strict=True):
            parameter += method.learning_rate * weight * gradient
    repair = slope(splits.retain, None)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, repair, strict=True):
            parameter -= 0.5 * method.learning_rate * gradient  # half-way along the cosine
    return parameters


@pytest.mark.parametrize(("clip", "forget_weight"), [(0.0, 0.5), (0.2, 25.0)])
def test_a_round_is_a_masked_ascent_and_a_repair(
    original: nn.Module, splits: Splits, clip: float, forget_weight: float
) -> None:
    method = SFRon(batch_norm="frozen", clip=clip, forget_weight=forget_weight, **WHOLE)
    result = method.unlearn(original, splits, Run(seed=1))
    expected = by_hand(original, splits, method)
    for found, wanted in zip(result.parameters(), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_without_ascent_it_is_fine_tuning(original: nn.Module, splits: Splits) -> None:
    """No entry reaches an infinite threshold; the rate alone differs, by the steps that ascend by nothing.

    A ratio that high leaves the forget step without a gradient; without momentum and decay it moves nothing.
    """
    settings = {"momentum": 0.0, "weight_decay": 0.0, "batch_norm": "frozen", "retain_batch": 500}
    result = SFRon(epochs=1, threshold=1e30, **settings).unlearn(original, splits, Run(seed=1))
    rate = 0.5 * SFRon.learning_rate
    network = copy.deepcopy(original).eval()
    loss = F.cross_entropy(network(splits.retain.inputs()), splits.retain.labels)
    for before, after, slope in zip(
        original.parameters(), result.parameters(), gradient_of(loss, list(network.parameters())), strict=True
    ):
        torch.testing.assert_close(after, before - rate * slope)


def test_the_forget_loss_ends_above_that_of_fine_tuning(original: nn.Module, splits: Splits) -> None:
    settings = {"epochs": 10, "learning_rate": 0.01}
    result = SFRon(retain_batch=32, repair_steps=3, **settings).unlearn(original, splits, Run(seed=1))
    tuned = FineTune(batch_size=32, **settings).unlearn(original, splits, Run(seed=1))
    assert loss_on(result, splits.forget) > loss_on(tuned, splits.forget) + 0.05
    assert loss_on(result, splits.retain) < loss_on(result, splits.forget)


@pytest.mark.parametrize("repair_steps", [1, 4, 100])
def test_ascent_comes_once_in_so_many_repairs(
    original: nn.Module, splits: Splits, repair_steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def counting(losses: Tensor, power: float) -> Tensor:
        calls.append(len(losses))
        return small_loss_weighted_mean(losses, power)

    monkeypatch.setattr("obliq.methods.sfron.small_loss_weighted_mean", counting)
    method = SFRon(epochs=3, retain_batch=32, repair_steps=repair_steps)
    method.unlearn(original, splits, Run(seed=1))
    repairs = 3 * math.ceil(len(splits.retain) / 32)
    assert len(calls) == math.ceil(repairs / repair_steps)


def test_the_share_of_salient_entries_is_told(original: nn.Module, splits: Splits) -> None:
    shares = []
    for threshold in (0.0, 1.0, 1e30):
        trace = Trace()
        SFRon(epochs=1, threshold=threshold).unlearn(original, splits, Run(seed=1, listen=trace))
        shares.append(trace.rows[0]["salient_parameters"])
    assert shares[0] == 1.0
    assert 0.0 < shares[1] < 1.0
    assert shares[2] < shares[1]


def test_statistics_follow_the_chosen_batches_and_steps_are_trained(
    original: nn.Module, splits: Splits
) -> None:
    frozen, retain, everything = (
        SFRon(epochs=1, batch_norm=name, retain_batch=500).unlearn(original, splits, Run(seed=1))
        for name in ("frozen", "retain", "all")
    )
    assert not statistics_moved(original, frozen)
    assert statistics_moved(original, retain)
    one, other = statistics(retain), statistics(everything)
    assert any(not torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert steps_moved(original, frozen)


def test_steps_follow_repairs_even_where_they_are_not_salient(original: nn.Module, splits: Splits) -> None:
    result = SFRon(epochs=1, threshold=1e30, batch_norm="frozen").unlearn(original, splits, Run(seed=1))
    assert steps_moved(original, result)


@pytest.mark.parametrize(
    "settings", [{"repair_steps": 0}, {"threshold": -1.0}, {"clip": math.nan}, {"forget_weight": 0.0}]
)
def test_settings_out_of_range_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=next(iter(settings))):
        SFRon(**settings)
