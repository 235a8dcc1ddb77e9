"""A deployed network as a value: what every step computes with, in integers, and nothing else.

An activation is `scale * code` with one scale; a weight is `scale[output] * code`. Each step reads
codes by the name of the step that made them. Exporters and the reference interpreter read only this.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy import ndarray

from obliq.errors import ModelError

CONTAINER_BITS = 8
"""Every code travels in a byte, however few of its bits are used."""


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Weights:
    """What a layer multiplies with and adds, batch norm included.

    Attributes:
        codes: int8, outputs first; bounded by `2^(bits-1)-1` in magnitude.
        scale: float32, one an output: the learned step times |gamma / sigma|.
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
    bias: ndarray = field(repr=False)
    real_bias: ndarray = field(repr=False)

    def wide_codes(self) -> ndarray:
        """The int8 codes on the finer grid."""
        return (self.codes.astype(np.int16) * self.refinement).astype(np.int8)

    def wide_scale(self) -> ndarray:
        """The float32 scales of the finer grid; exact, since the refinement is a power of two."""
        return self.scale / np.float32(self.refinement)

    def bias_scale(self, source: Grid) -> ndarray:
        """The float32 scales of the bias, and of the accumulators that it is added to."""
        return np.float32(source.scale) * self.wide_scale()


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One operation.

    Attributes:
        name: of its result; for operations that round, the name of the quantizer.
        path: where in the network it stands, for messages.
        sources: names of the results that it reads.
        grid: where its result lies.
    """

    name: str
    path: str
    sources: tuple[str, ...]
    grid: Grid


class Quantize(Step):
    """The input, rounded."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Convolution(Step):
    """One- or two-dimensional; `padding` holds the zeros before and after each axis."""

    weights: Weights
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Linear(Step):
    """A matrix (outputs, inputs) and a bias, applied to the last axis."""

    weights: Weights


class Add(Step):
    """The sum of two results that lie on different grids."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AveragePool(Step):
    """The mean of windows, or of everything after the channel axis when there is no `kernel`."""

    kernel: tuple[int, ...] | None
    stride: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool(Step):
    """The largest code of windows; the grid stays."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]


class Flatten(Step):
    """Everything after the batch in one axis; the grid stays."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """A network in the order of computation; the first step is `Quantize`, the last makes the logits.

    Attributes:
        input_shape: of one sample, channels first.
        steps: what is computed.
    """

    input_shape: tuple[int, ...]
    steps: tuple[Step, ...] = field(repr=False)

    def __post_init__(self) -> None:
        known: set[str] = set()
        for step in self.steps:
            if step.name in known or not known.issuperset(step.sources):
                raise ModelError(f"step {step.name} is out of order; expected each name once, sources first")
            known.add(step.name)

    @property
    def result(self) -> Step:
        """The step that makes the logits."""
        return self.steps[-1]

    @cached_property
    def _by_name(self) -> dict[str, Step]:
        return {step.name: step for step in self.steps}

    def __getitem__(self, name: str) -> Step:
        return self._by_name[name]

    def owner(self, name: str) -> str:
        """The step that rounded to the grid of a result: itself, or for steps that move codes, the one before."""
        while isinstance(step := self[name], MaxPool | Flatten):
            name = step.sources[0]
        return name
