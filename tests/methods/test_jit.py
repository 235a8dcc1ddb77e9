"""What smoothing around forgotten samples promises beyond the common contract."""

import math

import pytest
import torch
from torch import nn

from obliq.data import Splits
from obliq.methods import JiT
from obliq.methods.jit import slopes
from obliq.run import Run
from tests.methods.by_hand import first_step, linear, splits_by_hand


def test_slopes_of_a_linear_map() -> None:
    """Along a direction, the slope of z = 3 x is 3, whatever the distance; equal inputs have none."""
    inputs = torch.tensor([[1.0, 2.0], [0.0, 1.0], [5.0, 5.0]])
    near = torch.tensor([[1.5, 2.0], [0.3, 0.6], [5.0, 5.0]])
    found = slopes(3 * inputs, 3 * near, inputs, near)
    torch.testing.assert_close(found, torch.tensor([3.0, 3.0, 0.0]))
    logits = inputs.clone().requires_grad_()
    slopes(logits, inputs, inputs, near).sum().backward()
    assert bool(torch.isfinite(logits.grad).all()), "equal outputs have no direction"


def test_the_network_becomes_smoother_around_the_forget_set(original: nn.Module, splits: Splits) -> None:
    def mean_slope(network: nn.Module) -> float:
        inputs = splits.forget.inputs().repeat(20, 1, 1, 1)
        near = inputs + 0.5 * torch.randn(inputs.shape, generator=torch.Generator().manual_seed(9))
        with torch.no_grad():
            return float(slopes(network(inputs), network(near), inputs, near).mean())

    result = JiT(learning_rate=0.01, copies=5, epochs=3).unlearn(original, splits, Run(seed=1))
    assert mean_slope(result) < 0.9 * mean_slope(original)


def test_the_first_step_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """With z = W x and d = x - x', the slope |W d| / |d| has the gradient (W d / |W d|) x^T / |d|: z(x') is fixed."""
    shifts = iter([(1.0, 5.0), (-1.0, -5.0)])  # of the copies, the same for both samples
    monkeypatch.setattr(torch, "randn", lambda shape, generator: torch.tensor(next(shifts)).expand(shape))
    network = linear([[3.0, 0.0], [0.0, 2.0]])
    splits = splits_by_hand(forget=[((1.0, 0.0), 0), ((0.0, 2.0), 1)])
    (found,) = first_step(JiT(noise=1.0, copies=2, learning_rate=0.01), network, splits)
    # (1, 0): clamped to 0..2, the copies are (2, 2) and (0, 0)
    first = torch.tensor([[-3 / 5, 0], [-4 / 5, 0]]) / math.sqrt(5) + torch.tensor([[1.0, 0], [0, 0]])
    # (0, 2): the copies are (1, 2) and (0, 0)
    second = torch.tensor([[0, -2.0], [0, 0]]) + torch.tensor([[0, 0], [0, 2.0]]) / 2
    torch.testing.assert_close(found, (first + second) / 2, atol=1e-4, rtol=0)
