"""Where integers lie: the grid of an activation, and the weights of a layer.

An activation is `scale * code` with one scale; a weight is `scale[output] * code`.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Float32, Float64, Int32
from numpy import ndarray
from torch import Tensor

CONTAINER_BITS = 8
"""Every code travels in a byte, however few of its bits are used."""

LARGEST_SUM = 2**31 - 1
"""Of products and a bias, which devices add in int32."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Where the codes of an activation lie.

    Attributes:
        scale: one step in real numbers; a float32 value.
        bits: bit width.
        signed: whether codes can be negative.
        low: smallest code, after a clamp such as ReLU6.
        high: largest code, after that clamp.
    """

    scale: float
    bits: int
    signed: bool
    low: int
    high: int

    @property
    def zero_point(self) -> int:
        """The byte that stands for 0: unsigned bytes hold both kinds, since kernels add and multiply one type."""
        return 2 ** (CONTAINER_BITS - 1) if self.signed else 0

    @property
    def fills_container(self) -> bool:
        """Whether every byte is a code, so that rounding to a byte is clamping enough."""
        return bool(self.high - self.low == 2**CONTAINER_BITS - 1)

    def codes(self, multiples: Float32[ndarray, "*shape"]) -> Int32[ndarray, "*shape"]:
        """Float32 multiples of the scale as codes; `rint` rounds halves to the even number, as ONNX does."""
        rounded: ndarray = np.clip(np.rint(multiples), self.low, self.high).astype(np.int32)
        return rounded

    def codes_in_torch(self, multiples: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The same in PyTorch, as whole numbers of the type that came in; `round` takes halves to the even number."""
        return multiples.round().clamp(self.low, self.high)

    def codes_of_bytes(self, values: Float32[ndarray, "*shape"]) -> Int32[ndarray, "*shape"]:
        """Multiples of the scale plus the zero point, both in one float32 number, as codes."""
        rounded: ndarray = np.clip(np.rint(values) - self.zero_point, self.low, self.high).astype(np.int32)
        return rounded

    def codes_of_bytes_in_torch(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The same in PyTorch."""
        return (values.round() - self.zero_point).clamp(self.low, self.high)


@dataclass(frozen=True, kw_only=True, eq=False)
class Weights:
    """What a layer multiplies with and adds, batch norm included.

    Attributes:
        codes: int8, outputs first; bounded by `2^(bits-1)-1` in magnitude.
        scale: float32, one an output: the learned step times abs(gamma / sigma). A file of another quantizer may
            have one for all.
        bits: bit width of the codes.
        refinement: a power of two; the bias lies on a grid that is so many times finer than that of
            the products. It costs nothing: bytes have room for low-bit codes times this factor.
        bias: int32, one an output, in units of `input scale * scale / refinement`.
        real_bias: float64, what `bias` was rounded from.
    """

    codes: ndarray = field(repr=False)
    scale: ndarray = field(repr=False)
    bits: int
    refinement: int
    bias: ndarray = field(repr=False, default_factory=lambda: np.zeros(0, np.int32))
    real_bias: ndarray = field(repr=False, default_factory=lambda: np.zeros(0))

    def wide_codes(self) -> ndarray:
        """The int8 codes on the finer grid."""
        return self.codes * np.int8(self.refinement)

    def wide_scale(self) -> ndarray:
        """The float32 scales of the finer grid; exact, since the refinement is a power of two."""
        return self.scale / np.float32(self.refinement)

    def bias_scale(self, source: Grid) -> ndarray:
        """The float32 scales of the bias, and of the accumulators that it is added to."""
        return np.float32(source.scale) * self.wide_scale()

    def with_bias(self, bias: Int32[ndarray, "outputs"], source: Grid) -> "Weights":
        """The same with this bias, in units of `bias_scale`."""
        return replace(self, bias=bias, real_bias=bias * self.bias_scale(source).astype(np.float64))

    def with_real_bias(self, bias: Float64[ndarray, "outputs"], source: Grid) -> "Weights":
        """The same with this bias in real numbers, rounded to units of `bias_scale`."""
        return replace(self, bias=in_units(bias, self.bias_scale(source)), real_bias=bias)


def in_units(bias: Float64[ndarray, "outputs"], unit: Float32[ndarray, "*outputs"]) -> ndarray:
    """A bias as int32 multiples of a unit; halves go to the even number."""
    return np.clip(np.rint(bias / unit.astype(np.float64)), -LARGEST_SUM, LARGEST_SUM).astype(np.int32)
