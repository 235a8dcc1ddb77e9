"""What a trained layer becomes in a file again: codes on the file's own grid, and a bias in the file's own unit."""

from typing import Any

import numpy as np
from numpy import ndarray
from torch import Tensor, nn

from obliq.errors import ModelError
from obliq.quantization import (
    QuantizedConv1d,
    QuantizedConv2d,
    QuantizedLinear,
    QuantizedWeight,
    weight_codes,
)
from obliq.quantization.learned_step import SMALLEST_STEP

_LARGEST = 2**31 - 1


def layer_like(codes: tuple[int, ...], bits: int, **options: Any) -> QuantizedWeight:
    """A linear layer or convolution for codes of a shape, outputs first; it does not pad.

    Args:
        codes: their shape.
        bits: of the weights.
        options: of the layer's constructor, such as `stride`, `groups` and `weight_grid`.
    """
    if len(codes) == 2:
        return QuantizedLinear(codes[1], codes[0], bits=bits, **options)
    kind = QuantizedConv1d if len(codes) == 3 else QuantizedConv2d
    return kind(codes[1] * options.get("groups", 1), codes[0], codes[2:], bits=bits, **options)


def trained_codes(layer: QuantizedWeight, scale: ndarray, before: ndarray) -> ndarray:
    """The layer's codes; channels whose scale is too fine for training keep those from before."""
    codes = weight_codes(layer).cpu().numpy()
    usable = (scale >= SMALLEST_STEP).reshape(-1, *(1,) * (codes.ndim - 1))
    return np.where(usable, codes, before)


def trained_bias(layer: QuantizedWeight) -> ndarray:
    """The layer's bias in real numbers, float64."""
    assert isinstance(layer.bias, nn.Parameter)
    real: ndarray = layer.bias.detach().cpu().double().numpy()
    return real


def in_units(bias: ndarray, unit: ndarray) -> ndarray:
    """A bias as int32 multiples of a unit."""
    return np.clip(np.rint(bias / unit.astype(np.float64)), -_LARGEST, _LARGEST).astype(np.int32)


def require_same_grid(name: str, step: Tensor, scale: Any) -> None:
    """Raise unless a learned step is still the scale that it was made from.

    Raises:
        ModelError: naming whose grid was moved.
    """
    if not np.array_equal(step.detach().cpu().numpy(), scale):
        raise ModelError(
            f"the grid of {name} was moved; expected a method that keeps it, as oeu --steps frozen"
        )
