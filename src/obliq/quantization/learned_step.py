"""Learned step size quantization: rounding to a grid whose step is trained with the network.

Paper: Esser et al., "Learned Step Size Quantization", ICLR 2020 (arXiv:1902.08153).

With v = x / s the value is y = s * clamp(round(v), low, high). The gradient passes to x where low < v < high
(section 2, equation 5). The gradient of the step (equation 3) is round(v) - v inside that range and the bound
outside, times a scale. Since y = s * round(v) inside and s * bound outside, and since gx is gy inside and zero
outside, its sum over all elements is

    grad_s = (<gy, y> - <gx, x>) / s                                         (A)

which needs two dot products and no temporary of the size of x. For this reason a training step costs little more
than in floating point. The gradient of x can be differentiated again, straight through a second time.
"""

import math
from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

SMALLEST_STEP = 2.0**-24
"""Steps never fall below this: far below any useful step, and its multiples are still normal floats."""

_REDUCED = (torch.bfloat16, torch.float16)


def fake_quantize(
    x: Float[Tensor, "*shape"],
    step: Float[Tensor, "*channels"],
    low: int,
    high: int,
    gradient_scale: float,
    channel_axis: int | None = None,
) -> Float[Tensor, "*shape"]:
    """Round `x` to the multiples of `step` from `low` to `high`.

    Args:
        x: values. Reduced precision (autocast) is computed in float32 and returned in the given precision.
        step: one positive step, or one for each index of `channel_axis`.
        low: smallest code.
        high: largest code.
        gradient_scale: factor on the gradient of the step, see `gradient_scale`.
        channel_axis: the axis of `x` that `step` runs along; None for a single step.

    Returns:
        Values of the shape and dtype of `x`. Halves round to the even code, as in ONNX.
    """
    if torch.compiler.is_compiling():
        return _composed(x, step, low, high, gradient_scale, channel_axis)
    # `apply` is typed in some releases of torch only, so an ignore comment would be an error in the others.
    result: Tensor = cast(Any, _LearnedStep).apply(x, step, low, high, gradient_scale, channel_axis)
    return result


@torch.no_grad()
def fake_quantize_derivatives(
    x: Float[Tensor, "*shape"],
    step: Float[Tensor, "*channels"],
    low: int,
    high: int,
    gradient_scale: float,
    channel_axis: int | None = None,
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """The derivative of each value of `fake_quantize` by its own `x`, and by its step.

    The arguments are those of `fake_quantize`. The first derivative is 1 where low < v < high and 0 elsewhere. The
    second is round(v) - v or the bound, times the scale. `fake_quantize` itself never computes them; they serve
    gradients of single samples.
    """
    v = x / _along(step, channel_axis, x.dim())
    inside = ((v > low) & (v < high)).to(x.dtype)
    return inside, (v.round().clamp_(low, high) - inside * v).mul_(gradient_scale)


def initial_step(
    x: Float[Tensor, "..."], high: int, channel_axis: int | None = None
) -> Float[Tensor, "*channels"]:
    """The initial step 2 mean|x| / sqrt(high) (section 2.1), at least `SMALLEST_STEP`."""
    magnitude = x.detach().to(torch.promote_types(x.dtype, torch.float32)).abs()
    rows = magnitude.flatten() if channel_axis is None else magnitude.movedim(channel_axis, 0).flatten(1)
    mean = rows.mean(-1)
    return (2 * mean / math.sqrt(high)).clamp_min(SMALLEST_STEP)


def gradient_scale(elements: int, high: int) -> float:
    """The factor 1 / sqrt(elements * high) that balances step and weight updates (section 2.2).

    `elements` counts the weights that share a step, or the features of one sample, which is the paper's choice.
    Public code often counts the whole batch, which makes training depend on its size.
    """
    return 1.0 / math.sqrt(elements * high)


class _LearnedStep(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, step: Tensor, low: int, high: int, scale: float, axis: int | None
    ) -> Tensor:
        wide = x.float() if x.dtype in _REDUCED else x
        divisor = _along(step, axis, x.dim())
        y = torch.div(wide, divisor).round_().clamp_(low, high).mul_(divisor).to(x.dtype)
        # y is only needed for the step's gradient, equation (A)
        if ctx.needs_input_grad[1]:
            ctx.save_for_backward(x, step, y)
        else:
            ctx.save_for_backward(x, step)
        ctx.bounds, ctx.scale, ctx.axis = (low, high), scale, axis
        return y

    @staticmethod
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        x, step, *rest = ctx.saved_tensors
        low, high = ctx.bounds
        if gy.stride() != x.stride() and _is_dense(x):
            # The gradient of a mean comes in another memory layout. One copy here is cheaper than one in every
            # operation that follows.
            gy = torch.empty_like(x, dtype=gy.dtype).copy_(gy)
        if step.numel() == 1 and not step.is_cuda:
            # gx = gy where low < v < high, else 0 (equation 5). A scalar on the processor is read for free: comparing
            # x with s * low and s * high saves the pass that computes v.
            width = step.item()
            gx = torch.ops.aten.hardtanh_backward(gy, x, low * width, high * width)
        else:
            wide = x.float() if x.dtype in _REDUCED else x
            inside = wide / _along(step, ctx.axis, x.dim())
            gx = torch.ops.aten.hardtanh_backward(gy.to(inside.dtype), inside, low, high).to(gy.dtype)
        if not rest:
            return gx, None, None, None, None, None
        # equation (A), times the gradient scale
        difference = _difference(gy, rest[0], gx, x, ctx.axis)
        grad_step = (difference.reshape(step.shape) / step).mul_(ctx.scale)
        return gx if ctx.needs_input_grad[0] else None, grad_step, None, None, None, None


def _composed(x: Tensor, step: Tensor, low: int, high: int, scale: float, axis: int | None) -> Tensor:
    """The same value and gradients from ordinary operations, which a compiler can fuse."""
    wide = x.float() if x.dtype in _REDUCED else x
    # A step whose value is `step` and whose gradient is multiplied by `scale`.
    scaled = step * scale
    divisor = _along(scaled + (step - scaled).detach(), axis, x.dim())
    v = F.hardtanh(wide / divisor, low, high)  # no gradient at the bounds themselves, as above
    rounded = v + (v.round() - v).detach()  # rounds forward, passes the gradient straight through
    return (rounded * divisor).to(x.dtype)


def _along(step: Tensor, axis: int | None, dimensions: int) -> Tensor:
    """Shape one step a channel so that it broadcasts along `axis`."""
    if axis is None:
        return step if step.dim() == 0 else step.reshape(())
    shape = [1] * dimensions
    shape[axis] = -1
    return step.view(shape)


def _difference(gy: Tensor, y: Tensor, gx: Tensor, x: Tensor, axis: int | None) -> Tensor:
    """<gy, y> - <gx, x> over everything but `axis`, in at least float32."""
    if gy.dtype in _REDUCED:
        gy, y, gx, x = gy.float(), y.float(), gx.float(), x.float()
    if axis is not None:
        products = (gy * y).addcmul_(gx, x, value=-1)
        return products.sum([other for other in range(x.dim()) if other != axis])
    if _is_dense(x) and gy.stride() == y.stride() == gx.stride() == x.stride():
        # In equal dense layouts elements pair up in memory order, so two BLAS dot products over flat views suffice.
        gy, y, gx, x = (tensor.as_strided((tensor.numel(),), (1,)) for tensor in (gy, y, gx, x))
        return torch.dot(gy, y) - torch.dot(gx, x)
    return (gy * y).sum() - (gx * x).sum()


def _is_dense(x: Tensor) -> bool:
    return x.is_contiguous() or (x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last))
