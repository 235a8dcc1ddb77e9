"""What UGradSL+ promises beyond the common contract."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from obliq.data import Splits
from obliq.methods import GradientDifference, UGradSL
from obliq.methods.ugradsl import negatively_smoothed_loss
from obliq.run import Run
from tests.methods.by_hand import first_step, linear, splits_by_hand
from tests.methods.measured import same


def test_the_smoothed_loss_weights_the_true_class_up_and_pulls_to_uniform() -> None:
    """-L is ascent with weight 1 + s (1 - 1/K) on the true class, and descent with s / K on each other one."""
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 3, 0])
    smoothing = 0.8
    each = -F.log_softmax(logits, dim=1)
    right = each.gather(1, labels.unsqueeze(1)).squeeze(1)
    expected = (1 + smoothing * 3 / 4) * right - smoothing / 4 * (each.sum(dim=1) - right)
    assert float(negatively_smoothed_loss(logits, labels, smoothing)) == pytest.approx(float(expected.mean()))
    usual = F.cross_entropy(logits, labels)
    assert float(negatively_smoothed_loss(logits, labels, 0.0)) == pytest.approx(float(usual))


def test_without_smoothing_and_clipping_it_is_gradient_difference(
    original: nn.Module, splits: Splits
) -> None:
    result = UGradSL(smoothing=0.0, clip=0.0, epochs=1).unlearn(original, splits, Run(seed=1))
    plain = GradientDifference(epochs=1, learning_rate=0.01).unlearn(original, splits, Run(seed=1))
    before, after = result.state_dict(), plain.state_dict()
    assert all(torch.allclose(before[name], after[name], atol=1e-5) for name in before)
    clipped = UGradSL(smoothing=0.0, clip=1e-3, epochs=1).unlearn(original, splits, Run(seed=1))
    assert not same(clipped, result)


@pytest.mark.parametrize("clip", [0.0, 0.1])
def test_the_first_step_by_hand(clip: float) -> None:
    """At W = 0, with K = 2: p (q - y) x_r^T - (1 - p) (1 + s) (q - y) x_f^T with q = (1/2, 1/2), then the clipping."""
    splits = splits_by_hand(forget=[((0.0, 3.0), 0)], retain=[((1.0, 0.0), 0)])
    method = UGradSL(retain_weight=0.8, smoothing=0.5, clip=clip, epochs=1)
    (found,) = first_step(method, linear([[0.0, 0.0], [0.0, 0.0]]), splits)
    expected = torch.tensor([[-0.8 / 2, 0.2 * 1.5 * 3 / 2], [0.8 / 2, -0.2 * 1.5 * 3 / 2]])
    torch.testing.assert_close(found, clip * expected / expected.norm() if clip else expected)
