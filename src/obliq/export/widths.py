"""How many bits are in use, told from bytes alone: what files do not say and nothing computed depends on.

Few enough are taken to agree with the powers of two that codes were multiplied with (see
`obliq.export.folding`), so that what a network was exported from is found again. Equal integers give equal
widths, whatever they were stored in.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float32, Int, Int32
from numpy import ndarray

from obliq.errors import ModelError
from obliq.export.folding import refinement_of
from obliq.export.graph import Grid, Weights
from obliq.quantization.precision import activation_range, weight_range

EVERY = range(2, 9)
"""The bits that a code may have."""


def weights_from(
    wide: Int[ndarray, "outputs ..."],
    wide_scale: Float32[ndarray, "outputs"],
    bias: Int32[ndarray, "outputs"],
    source: Grid,
    *,
    widths: Sequence[int] = EVERY,
    times: int | None = None,
) -> Weights:
    """Weights whose codes, times their refinement, are these bytes.

    Args:
        wide: codes on the finer grid, from -127 to 127.
        wide_scale: of that grid.
        bias: in units of `source.scale * wide_scale`.
        source: what the layer reads.
        widths: the bits that codes may have had, ascending.
        times: what codes were multiplied with, where that is known.

    Raises:
        ModelError: when no width explains the codes.
    """
    explaining = [
        bits
        for bits in widths
        if _explains(bits, wide, source) and times in (None, refinement_of(bits, source))
    ]
    if not explaining:
        raise ModelError(
            f"codes from {wide.min()} to {wide.max()} after they are multiplied by {times or 1}; expected codes of a "
            "few bits times what the exporter multiplies them by"
        )
    refinement = refinement_of(explaining[0], source)
    made = Weights(
        codes=(wide // refinement).astype(np.int8), scale=wide_scale * np.float32(refinement),
        bits=max(bits for bits in explaining if refinement_of(bits, source) == refinement),
        refinement=refinement, bias=bias, real_bias=np.zeros(len(bias)),
    )  # fmt: skip
    return replace(made, real_bias=bias * made.bias_scale(source).astype(np.float64))


def _explains(bits: int, wide: ndarray, source: Grid) -> bool:
    factor = refinement_of(bits, source)
    fits = not (wide % factor).any() and int(np.abs(wide).max()) <= weight_range(bits)[1] * factor
    return bool(fits)


def grid_from(scale: float, zero: int, low: int, high: int) -> Grid:
    """The grid of bytes from `low` to `high` around a zero point."""
    signed = zero > 0
    ranges = {bits: activation_range(bits, signed) for bits in EVERY}
    bits = next(
        bits
        for bits, (least, most) in ranges.items()
        if bits == 8 or (least <= low - zero and high - zero <= most)
    )
    return Grid(scale=scale, bits=bits, signed=signed, low=low - zero, high=high - zero)
