import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from obliq.quantization.learned_step import SMALLEST_STEP, fake_quantize, gradient_scale, initial_step
from obliq.quantization.precision import activation_range, weight_range


def textbook(x: Tensor, step: Tensor, low: int, high: int, scale: float, axis: int | None = None) -> Tensor:
    """LSQ as in the paper's appendix: straight-through and gradient scaling by detaching."""
    scaled = step * scale
    s = step.detach() + (scaled - scaled.detach())
    if axis is not None:
        s = s.view([-1 if index == axis else 1 for index in range(x.dim())])
    clamped = torch.clamp(x / s, low, high)
    rounded = clamped.round().detach() + (clamped - clamped.detach())
    return rounded * s


def gradients(function, x: Tensor, step: Tensor, weights: Tensor, *rest) -> tuple[Tensor, Tensor, Tensor]:
    # A clone in the same layout, so that channels_last reaches the function.
    x, step = x.detach().clone().requires_grad_(), step.detach().clone().requires_grad_()
    y = function(x, step, *rest)
    y.backward(weights)
    return y.detach(), x.grad, step.grad


def same_gradients(x: Tensor, step: Tensor, gy: Tensor, low: int, high: int, axis: int | None = None) -> None:
    scale = gradient_scale(x.numel() // step.numel(), high)
    y, gx, gs = gradients(fake_quantize, x, step, gy, low, high, scale, axis)
    expected_y, expected_gx, expected_gs = gradients(textbook, x, step, gy, low, high, scale, axis)
    assert torch.equal(y, expected_y)
    torch.testing.assert_close(gx, expected_gx, rtol=1e-5, atol=1e-6)
    # The sum of many signed terms: compare with the size of the terms.
    size = scale * high * gy.abs().sum().item() / step.numel()
    assert (gs - expected_gs).abs().max().item() <= 1e-5 * max(size, gs.abs().max().item())


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**20),
    bits=st.integers(2, 8),
    signed=st.booleans(),
    layout=st.sampled_from(["contiguous", "channels_last", "mixed", "sliced"]),
    width=st.floats(0.01, 2.0),
)
def test_one_step_equals_the_textbook(seed: int, bits: int, signed: bool, layout: str, width: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(4, 6, 5, 3, generator=generator)
    gy = torch.randn(4, 6, 5, 3, generator=generator)
    if layout in ("channels_last", "mixed"):
        x = x.contiguous(memory_format=torch.channels_last)
    if layout == "channels_last":
        gy = gy.contiguous(memory_format=torch.channels_last)
    if layout == "sliced":
        x, gy = x[:, ::2], gy[:, ::2]
    same_gradients(x, torch.tensor(width), gy, *activation_range(bits, signed))


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**20),
    bits=st.integers(2, 8),
    shape=st.sampled_from([(5, 7), (6, 1, 3, 3), (4, 3, 5), (1, 2, 2, 2), (8, 4, 3, 3)]),
    channels_last=st.booleans(),
)
def test_a_step_for_each_channel_equals_the_textbook(
    seed: int, bits: int, shape: tuple[int, ...], channels_last: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x, gy = (torch.randn(shape, generator=generator) for _ in range(2))
    if channels_last and len(shape) == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    low, high = weight_range(bits)
    same_gradients(x, initial_step(x, high, 0) * 0.7, gy, low, high, axis=0)


def test_large_tensors_stay_within_the_tolerance() -> None:
    generator = torch.Generator().manual_seed(3)
    x, gy = (torch.randn(64, 16, 32, 32, generator=generator) for _ in range(2))
    same_gradients(x, torch.tensor(0.2), gy, 0, 15)


@pytest.mark.parametrize("bits", range(2, 9))
def test_an_unsigned_grid_does_the_work_of_the_rectifier(bits: int) -> None:
    generator = torch.Generator().manual_seed(bits)
    x, gy = (torch.randn(3, 4, 6, 6, generator=generator) for _ in range(2))
    x[0, 0] = 0.0  # the kink itself
    _, high = activation_range(bits, signed=False)
    step = torch.tensor(1.5 / high)
    alone = gradients(fake_quantize, x, step, gy, 0, high, 0.1)
    after = gradients(lambda x, *rest: fake_quantize(F.relu(x), *rest), x, step, gy, 0, high, 0.1)
    for one, other in zip(alone, after, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    assert torch.equal(alone[0], after[0])
    assert torch.equal(alone[1], after[1])


@settings(max_examples=40)
@given(seed=st.integers(0, 2**20), bits=st.integers(2, 8), signed=st.booleans(), step=st.floats(1e-4, 10))
def test_values_lie_on_the_grid(seed: int, bits: int, signed: bool, step: float) -> None:
    low, high = activation_range(bits, signed)
    width = torch.tensor(step)
    x = 3 * high * step * torch.randn(200, generator=torch.Generator().manual_seed(seed))
    y = fake_quantize(x, width, low, high, 1.0)
    codes = (y / width).round()
    assert low <= codes.min()
    assert codes.max() <= high
    assert torch.equal(codes * width, y)
    assert torch.equal(fake_quantize(y, width, low, high, 1.0), y), "rounding twice is rounding once"


def test_a_frozen_step_costs_no_gradient() -> None:
    x = torch.randn(5, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    step = torch.tensor(0.3)
    fake_quantize(x, step, -8, 7, 1.0).sum().backward()
    assert step.grad is None
    assert torch.equal(x.grad, ((x / 0.3 > -8) & (x / 0.3 < 7)).float())


def test_a_frozen_input_still_trains_the_step() -> None:
    x = torch.randn(50, generator=torch.Generator().manual_seed(0))
    step = torch.tensor(0.2, requires_grad=True)
    reference = torch.tensor(0.2, requires_grad=True)
    fake_quantize(x, step, -2, 1, 0.5).square().sum().backward()
    textbook(x, reference, -2, 1, 0.5).square().sum().backward()
    torch.testing.assert_close(step.grad, reference.grad)


def test_reduced_precision_is_computed_in_float32() -> None:
    x = torch.randn(64, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    step = torch.tensor(0.11)
    gy = torch.ones_like(x)
    y, gx, gs = gradients(fake_quantize, x, step, gy, 0, 255, 0.5)
    wide = gradients(fake_quantize, x.float(), step, gy.float(), 0, 255, 0.5)
    assert y.dtype == gx.dtype == torch.bfloat16
    assert gs.dtype == torch.float32
    assert torch.equal(y, wide[0].bfloat16())
    assert torch.equal(gx.float(), wide[1])
    assert abs(gs - wide[2]) < 0.02 * x.numel() ** 0.5


def test_initial_step_and_scale_have_their_closed_forms() -> None:
    x = torch.tensor([[1.0, -3.0], [0.0, 0.0]])
    assert initial_step(x, 7).item() == pytest.approx(2 * 1.0 / math.sqrt(7))
    by_channel = initial_step(x, 7, 0)
    assert by_channel.tolist() == pytest.approx([4 / math.sqrt(7), SMALLEST_STEP])
    assert gradient_scale(25, 4) == pytest.approx(0.1)
