"""The margin of the true class and the Huber loss on it, against their closed forms."""

import math

import hypothesis.strategies as st
import torch
import torch.nn.functional as F
from hypothesis import given

from obliq.auditing import Signals
from obliq.gradients import margin_loss, true_class_margin
from obliq.gradients.losses import HUBER
from tests.logits import some_logits

seeds = st.integers(0, 10_000)


@given(seeds)
def test_the_margin_is_the_audits(seed: int) -> None:
    logits = some_logits(seed)
    labels = torch.randint(0, 5, (6,), generator=torch.Generator().manual_seed(seed))
    expected = torch.from_numpy(Signals(logits, labels).margin).float()
    torch.testing.assert_close(true_class_margin(logits, labels), expected)


@given(seeds)
def test_no_wrong_class_is_taught(seed: int) -> None:
    logits = some_logits(seed).requires_grad_()
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 5, (6,), generator=generator)
    targets = 10 * torch.randn(6, generator=generator)
    (found,) = torch.autograd.grad(margin_loss(logits, labels, targets), logits)
    true = F.one_hot(labels, 5).bool()
    distance = (true_class_margin(logits, labels) - targets).clamp(-HUBER, HUBER)
    torch.testing.assert_close(found[true] * 6, distance / (2 * HUBER), atol=1e-6, rtol=1e-4)
    # the wrong classes share the opposite gradient in proportion to what is predicted
    others = F.softmax(logits.masked_fill(true, -math.inf), dim=1)
    wrong = found.masked_fill(true, 0.0)
    torch.testing.assert_close(wrong, -others * found[true].unsqueeze(1), atol=1e-6, rtol=1e-4)


def test_a_confident_sample_is_moved_like_any_other() -> None:
    logits = torch.tensor([[30.0, 0.0, 0.0], [3.0, 0.0, 0.0]]).requires_grad_()
    (found,) = torch.autograd.grad(margin_loss(logits, torch.zeros(2).long(), torch.full((2,), -5.0)), logits)
    assert float(found[0, 0]) == float(found[1, 0]) > 0
