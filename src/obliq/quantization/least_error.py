"""Steps for a network that is quantized without training: those with the smallest squared error.

`obliq.quantization.learned_step.initial_step` starts a training that adjusts it; for 8 bits it is about four times
wider than what suits a network that stays as it is.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from obliq.quantization.learned_step import SMALLEST_STEP

CANDIDATES = 80
"""Ranges that are tried, evenly spaced from 1/80 of the largest value to all of it."""
VALUES = 2**16
"""Values of a group that are compared at most, drawn at random."""


@torch.no_grad()
def least_error_step(
    x: Float[Tensor, "..."], low: int, high: int, channel_axis: int | None = None
) -> Float[Tensor, "*channels"]:
    """The step, among `CANDIDATES`, that rounds values to codes from `low` to `high` with the least squared error.

    Args:
        x: values to be rounded.
        low: smallest code.
        high: largest code.
        channel_axis: the axis whose every index gets a step of its own; None for a single step.

    Returns:
        One step, or one for each index of the axis; at least `SMALLEST_STEP`.
    """
    values = x.detach().float()
    rows = values.reshape(1, -1) if channel_axis is None else values.movedim(channel_axis, 0).flatten(1)
    # an unsigned grid reads what the rectifier before it left over
    rows = rows if low < 0 else rows.clamp_min(0)
    top = rows.abs().amax(dim=1) / high
    if rows.shape[1] > VALUES:
        # not every n-th value: in an image that could be one column
        chosen = torch.randint(rows.shape[1], (VALUES,), generator=torch.Generator().manual_seed(0))
        rows = rows[:, chosen.to(rows.device)]
    best, least = top, torch.full_like(top, torch.inf)
    for part in range(1, CANDIDATES + 1):
        step = (top * (part / CANDIDATES)).clamp_min(SMALLEST_STEP)
        rounded = (rows / step[:, None]).round_().clamp_(low, high).mul_(step[:, None])
        error = rounded.sub_(rows).square_().mean(dim=1)
        best, least = torch.where(error < least, step, best), torch.minimum(error, least)
    best = best.clamp_min(SMALLEST_STEP)
    return best if channel_axis is not None else best.reshape(())
