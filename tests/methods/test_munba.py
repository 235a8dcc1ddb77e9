"""What the bargain promises beyond the common contract."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from obliq.data import Splits
from obliq.methods import FineTune, MUNBa
from obliq.methods.munba import bisector
from obliq.run import Run
from tests.methods.by_hand import first_step, linear, splits_by_hand
from tests.methods.measured import same


def published(g_r: torch.Tensor, g_f: torch.Tensor) -> torch.Tensor:
    """Equation (1) as the paper has it."""
    cosine = F.cosine_similarity(g_r, g_f, dim=0)
    share = ((1 - cosine) / (1 - cosine**2)).sqrt()
    return share * (g_r / g_r.norm() + g_f / g_f.norm())


def test_the_bargain_is_the_bisector_whatever_the_lengths() -> None:
    generator = torch.Generator().manual_seed(0)
    for scale in (1.0, 1e-6, 1e6):
        g_r, g_f = torch.randn(7, generator=generator), scale * torch.randn(7, generator=generator)
        bargain = published(g_r, g_f)
        assert float(bargain.norm()) == pytest.approx(math.sqrt(2), rel=1e-4)
        (found,) = bisector([g_r], [g_f])
        torch.testing.assert_close(found, bargain / bargain.norm())
        products = [torch.dot(found, one / one.norm()) for one in (g_r, g_f)]
        assert float(products[0]) == pytest.approx(float(products[1]), rel=1e-4), "equal gain for both"


def test_opposite_and_vanishing_gradients_leave_the_retain_direction() -> None:
    g_r, nothing = torch.tensor([3.0, 4.0]), torch.zeros(2)
    for g_f in (-2 * g_r, nothing):
        torch.testing.assert_close(bisector([g_r], [g_f])[0], g_r / 5)
    torch.testing.assert_close(bisector([nothing], [g_r])[0], g_r / 5)
    assert torch.equal(bisector([nothing], [nothing])[0], nothing)


def test_steps_beyond_a_pass_over_the_forget_set_fine_tune(
    original: nn.Module, splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("obliq.methods.munba.steps_per_epoch", lambda samples, size: 0 if samples < 20 else 5)
    monkeypatch.setattr("obliq.methods.fine_tune.steps_per_epoch", lambda samples, size: 5)
    result = MUNBa(epochs=1, batch_size=32).unlearn(original, splits, Run(seed=1))
    assert len(splits.forget) < 20 < len(splits.retain)
    tuned = FineTune(epochs=1, batch_size=32, learning_rate=0.01)
    assert same(result, tuned.unlearn(original, splits, Run(seed=1)))


def test_the_first_step_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """At W = 0, with (p - y) x^T, the unit gradients are ((-1, 0), (1, 0)) / sqrt 2 and ((0, 1), (0, -1)) / sqrt 2."""
    monkeypatch.setattr(torch, "randint", lambda classes, shape, generator: torch.ones(shape).long())
    splits = splits_by_hand(forget=[((0.0, 3.0), 0)], retain=[((1.0, 0.0), 0)])
    (found,) = first_step(MUNBa(epochs=1, learning_rate=0.01), linear([[0.0, 0.0], [0.0, 0.0]]), splits)
    torch.testing.assert_close(found, torch.tensor([[-0.5, 0.5], [0.5, -0.5]]))
