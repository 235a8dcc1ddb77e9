"""What UGradSL+ promises beyond the common contract."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from obliq.data import Splits
from obliq.methods import GradientDifference, UGradSL
from obliq.methods.ugradsl import negatively_smoothed_loss
from obliq.run import Run
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
