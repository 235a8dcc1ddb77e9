"""PyTorch's operations on windows by the number of axes of space, and padding that differs between its ends."""

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor

CONVOLVE: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d}
AVERAGE: dict[int, Callable[..., Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d}
LARGEST: dict[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d}


def padded(values: Tensor, padding: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    """The values with what `padding` says before and after each axis of space; themselves where that is nothing."""
    around = [size for pair in reversed(padding) for size in pair]
    return F.pad(values, around, value=value) if any(around) else values
