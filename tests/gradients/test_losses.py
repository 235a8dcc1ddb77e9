"""Objectives against their closed forms."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from obliq.gradients import entropy, negative_entropy, uniform_loss
from tests.logits import some_logits

seeds = st.integers(0, 10_000)


@given(seeds)
def test_entropy_lies_between_zero_and_its_maximum(seed: int) -> None:
    values = entropy(some_logits(seed))
    assert bool((values >= 0).all())
    assert bool((values <= math.log(5) + 1e-5).all())


@given(seeds)
def test_entropy_equals_torch_distributions(seed: int) -> None:
    logits = some_logits(seed)
    torch.testing.assert_close(entropy(logits), torch.distributions.Categorical(logits=logits).entropy())


def test_entropy_gradient_is_the_closed_form() -> None:
    logits = some_logits(1).requires_grad_()
    (found,) = torch.autograd.grad(negative_entropy(logits), logits)
    p = logits.softmax(1)
    expected = p * (p.log() + entropy(logits).unsqueeze(1)) / len(logits)
    torch.testing.assert_close(found, expected)


def test_uniform_is_zero_at_equal_logits_and_its_gradient_does_not_vanish_on_confident_samples() -> None:
    assert uniform_loss(torch.zeros(3, 7)).item() == pytest.approx(0, abs=1e-6)
    confident = torch.tensor([[20.0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]).requires_grad_()
    (by_entropy,) = torch.autograd.grad(negative_entropy(confident), confident)
    (by_uniform,) = torch.autograd.grad(uniform_loss(confident), confident)
    assert by_entropy.norm() < 1e-6
    assert by_uniform.norm().item() == pytest.approx(math.sqrt(0.9**2 + 9 * 0.1**2), rel=1e-4)
