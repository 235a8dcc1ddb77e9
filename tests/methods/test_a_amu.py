"""What matching loss distributions promises beyond the common contract."""

import math
from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from obliq.data import Examples, Splits
from obliq.methods import AAMU
from obliq.methods.a_amu import normal_scores, squared_discrepancy
from obliq.run import Run
from obliq.training.prediction import predict
from tests.methods.by_hand import first_step, linear, splits_by_hand
from tests.methods.measured import CPU


def scores_of_pair(low: float, high: float, *, pooled: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """The scores of two sets that differ by a constant in their log losses."""
    first = torch.linspace(0, 2, 50).exp() - 1
    forget, unseen = (first + 1) * math.exp(low) - 1, (first + 1) * math.exp(high) - 1
    both = torch.cat([forget, unseen])
    among = (both, both) if pooled else (forget, unseen)
    return normal_scores(forget, among[0]), normal_scores(unseen, among[1])


def test_scores_by_hand() -> None:
    """r = 0 and log 2: F_1 = 1/2, and F_2 is the mean of sigmoid(2 log 2) = 4/5 and sigmoid(0) = 1/2."""
    scores = normal_scores(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0]))
    expected = torch.special.ndtri(torch.tensor([0.5, (0.8 + 0.5) / 2]))
    torch.testing.assert_close(scores, expected)
    far = normal_scores(torch.tensor([1e30]), torch.zeros(1000))
    assert torch.isfinite(far).all()


def test_the_discrepancy_by_hand() -> None:
    """Of one sample at 0 and one at a: 2 - 2 exp(-a^2 / 2)."""
    at = torch.tensor([1.5])
    expected = 2 - 2 * math.exp(-(1.5**2) / 2)
    assert float(squared_discrepancy(torch.zeros(1), at)) == pytest.approx(expected)
    assert float(squared_discrepancy(at, at)) == 0


@pytest.mark.parametrize("ranks", ["own", "pooled"])
def test_the_first_step_descends_on_equation_1(ranks: Literal["own", "pooled"]) -> None:
    network = linear([[1.0, -0.5], [0.2, 0.8]])
    splits = splits_by_hand(
        forget=[((1.0, 0.0), 0), ((3.0, -1.0), 0), ((0.5, 0.2), 0)],
        retain=[((1.0, 0.5), 0), ((0.1, 2.0), 1)],
        holdout=[((0.3, 0.4), 0), ((9.0, 9.0), 1), ((2.0, 1.5), 0)],  # the second has another label
    )
    method = AAMU(ranks=ranks, forget_weight=5.0, epochs=1, weight_decay=0.0)
    (found,) = first_step(method, network, splits)

    def each(examples: Examples) -> torch.Tensor:
        return F.cross_entropy(network(examples.inputs()), examples.labels, reduction="none")

    forget, unseen = each(splits.forget), each(splits.holdout)[[0, 2]].detach()

    def scores(losses: torch.Tensor) -> torch.Tensor:
        among = losses if ranks == "own" else torch.cat([forget, unseen])
        r, others = torch.log(1 + losses), torch.log(1 + among)
        shares = [torch.sigmoid(2 * torch.clamp(one - others, min=0)).mean() for one in r]
        return torch.special.ndtri(torch.stack(shares))

    of_forget, of_unseen = scores(forget), scores(unseen).detach()
    pairs = [(of_forget, of_forget, 1), (of_unseen, of_unseen, 1), (of_forget, of_unseen, -2)]
    mmd = sum(sign * torch.exp(-((a[:, None] - b) ** 2) / 2).mean() for a, b, sign in pairs)
    (expected,) = torch.autograd.grad(each(splits.retain).mean() ** 2 + 5.0 * mmd, network[0].weight)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


def test_own_ranks_see_no_difference_of_level_and_pooled_ranks_do() -> None:
    assert float(squared_discrepancy(*scores_of_pair(0.0, 1.5, pooled=False))) == pytest.approx(0, abs=1e-6)
    assert float(squared_discrepancy(*scores_of_pair(0.0, 1.5, pooled=True))) > 0.1
    assert float(squared_discrepancy(*scores_of_pair(0.5, 0.5, pooled=True))) == pytest.approx(0, abs=1e-6)


def test_pooled_ranks_bring_the_mean_loss_to_that_of_unseen_samples(
    original: nn.Module, splits: Splits
) -> None:
    def mean_loss(network: nn.Module) -> float:
        logits = predict(network, splits.forget, CPU)
        return nn.functional.cross_entropy(logits, splits.forget.labels).item()

    method = AAMU(
        ranks="pooled", forget_batch=0, epochs=8, learning_rate=0.003, momentum=0.5, clip=1.0, record_every=0
    )
    before, after = mean_loss(original), mean_loss(method.unlearn(original, splits, Run(seed=1)))
    logits = predict(original, splits.holdout, CPU)
    unseen = nn.functional.cross_entropy(logits, splits.holdout.labels).item()
    assert before < unseen
    assert abs(after - unseen) < 0.5 * abs(before - unseen)
