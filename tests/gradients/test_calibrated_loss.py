"""The calibrated objective against its closed forms."""

import hypothesis.strategies as st
import torch
import torch.nn.functional as F
from hypothesis import given

from obliq.gradients import calibrated_loss
from tests.logits import some_logits

seeds = st.integers(0, 10_000)


@given(seeds)
def test_calibrated_gradient_on_the_true_logit_is_confidence_minus_target(seed: int) -> None:
    logits = some_logits(seed).requires_grad_()
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 5, (6,), generator=generator)
    targets = torch.rand(6, generator=generator)
    (found,) = torch.autograd.grad(calibrated_loss(logits, labels, targets), logits)
    p = logits.softmax(1)
    true = F.one_hot(labels, 5).bool()
    torch.testing.assert_close(found[true] * 6, (p[true] - targets), atol=1e-5, rtol=1e-4)


def test_calibrated_is_still_where_the_target_is_met() -> None:
    logits = some_logits(2).requires_grad_()
    labels = torch.arange(5).repeat(2)[:6]
    reached = logits.softmax(1).gather(1, labels.unsqueeze(1)).squeeze(1).detach()
    (found,) = torch.autograd.grad(calibrated_loss(logits, labels, reached), logits)
    torch.testing.assert_close(found, torch.zeros_like(found), atol=1e-6, rtol=0)


def test_calibrated_is_finite_at_the_extremes() -> None:
    logits = torch.tensor([[100.0, 0, 0], [0, 100.0, 0]]).requires_grad_()
    loss = calibrated_loss(logits, torch.tensor([0, 0]), torch.tensor([0.0, 1.0]))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.isfinite(loss)
    assert bool(torch.isfinite(gradient).all())
