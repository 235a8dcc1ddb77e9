"""The distance between a teacher's and a student's predictions."""

import pytest
import torch

from obliq.gradients import distillation_loss


def test_it_is_the_divergence_from_the_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    teacher, student = (3 * torch.randn(5, 4, generator=generator) for _ in range(2))
    for temperature in (1.0, 2.5):
        p, q = (teacher / temperature).softmax(1), (student / temperature).softmax(1)
        expected = temperature**2 * (p * (p / q).log()).sum(1).mean()
        assert distillation_loss(teacher, student, temperature).item() == pytest.approx(
            expected.item(), rel=1e-5
        )


def test_it_is_zero_without_slope_at_the_teacher_and_ignores_shifts() -> None:
    logits = torch.tensor([[1.0, -2.0, 0.5]], requires_grad=True)
    loss = distillation_loss(logits.detach() + 7, logits, 4.0)
    (slope,) = torch.autograd.grad(loss, logits)
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert slope.abs().max() < 1e-6
