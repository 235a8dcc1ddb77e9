"""Bit widths, and the integer ranges that they stand for."""

import re
from dataclasses import dataclass

from obliq.errors import ModelError

FLOAT_BITS = 32
"""The bit width of a network that is not quantized."""


@dataclass(frozen=True)
class Precision:
    """Bit widths of the weights and activations of a network: 2 to 8 each, or 32 for both in floating point.

    `Precision.parse` is the inverse of `str(precision)`: `W4A8`, `FP32`.
    """

    weights: int
    activations: int

    def __post_init__(self) -> None:
        if self.is_float:
            return
        check_bits("weight bits", self.weights)
        check_bits("activation bits", self.activations)

    def __str__(self) -> str:
        return "FP32" if self.is_float else f"W{self.weights}A{self.activations}"

    @property
    def is_float(self) -> bool:
        """Whether nothing is quantized."""
        return self.weights == FLOAT_BITS and self.activations == FLOAT_BITS

    @classmethod
    def parse(cls, text: str) -> "Precision":
        """Read `W4A8` or `FP32`, in either case.

        Raises:
            ModelError: for any other text and for bit widths outside 2 to 8.
        """
        if text.strip().upper() == "FP32":
            return cls(FLOAT_BITS, FLOAT_BITS)
        match = re.fullmatch(r"[Ww](\d{1,4})[Aa](\d{1,4})", text.strip(), re.ASCII)
        if match is None:
            raise ModelError(
                f"precision {text!r}; expected the bits of weights and of activations, such as W8A8 (2 to 8 each), "
                "or FP32"
            )
        return cls(int(match[1]), int(match[2]))


def check_bits(what: str, bits: int) -> None:
    """Raise unless values can be quantized to this bit width.

    Raises:
        ModelError: when `bits` is not a whole number from 2 to 8.
    """
    if isinstance(bits, bool) or not isinstance(bits, int) or not 2 <= bits <= 8:
        raise ModelError(f"{what} is {bits!r}; expected a whole number from 2 to 8")


def weight_range(bits: int) -> tuple[int, int]:
    """Smallest and largest weight code: symmetric, so that folding a batch norm can flip the sign."""
    largest = 2 ** (bits - 1) - 1
    return -largest, largest


def activation_range(bits: int, signed: bool) -> tuple[int, int]:
    """Smallest and largest activation code; the zero point is 0 in both forms."""
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
