"""The contract of an operation: the questions that each module of this folder answers about its own.

Every walk over a network, an integer graph or a file asks these questions and names no operation itself. So a layer
type that is added answers them in one module. Questions that have a usual answer have it here. The methods are
documented, and the constants of a class typed, here alone.
"""

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

import numpy as np
import torch
from jaxtyping import Float, Int32
from numpy import ndarray
from torch import Tensor, fx, nn

from obliq.errors import ModelError
from obliq.exporting.grids import Grid
from obliq.exporting.onnx.check_graph import Operator
from obliq.exporting.onnx.contents import Contents, OnnxNode
from obliq.exporting.operations.c_call import CCall, Shape
from obliq.quantization import IntegerTensor
from obliq.quantization.operations import is_number, operation

Codes = Int32[ndarray, "samples ..."]
"""Codes of an activation in NumPy."""

Reals = Float[Tensor, "samples ..."]
"""An activation in real numbers; or its codes in PyTorch, as whole numbers that float kernels add up exactly."""

Convolve = Callable[..., Reals]
"""`(values, groups, stride, padding, dilation)`: a convolution with the kernel of a step; the last three may miss."""

Kernel = tuple[ndarray, ndarray, ndarray]
"""What a convolution of XNNPACK multiplies with and adds: int8 codes, their scales, biases in real numbers."""


Chain = list[tuple[type["Step"], dict[str, Any]]]
"""Kinds of steps that follow one another, each with the fields that it has beside those of all steps."""


def in_a_row(chain: Chain, fields: Mapping[str, Any]) -> "tuple[Step, ...]":
    """The steps of a chain; `fields` are name, path and grid of the last one, and the sources of the first one."""
    steps: list[Step] = []
    for number, (kind, settings) in enumerate(chain, 1):
        name = fields["name"] if number == len(chain) else f"{fields['name']}_{number - 1}"
        sources = (steps[-1].name,) if steps else fields["sources"]
        steps.append(kind(**{**fields, "name": name, "sources": sources}, **settings))
    return tuple(steps)


@dataclass(frozen=True, kw_only=True)
class TracedCall:
    """A call in a traced network, and what is known of it when the walk comes to it.

    Attributes:
        node: the call.
        fields: name, path, sources and grid of the step that it becomes.
        source: the grid of what it reads first; None for the input.
        shapes: of the activations that it reads, without the batch.
        result: the shape of what it gives, without the batch.
        norm: the batch norm after it; only a `Layer` gets one.
        integers: of the whole network, by name.
    """

    node: fx.Node
    fields: dict[str, Any]
    source: Grid | None
    shapes: tuple[tuple[int, ...], ...]
    result: tuple[int, ...]
    norm: nn.Module | None
    integers: Mapping[str, IntegerTensor]

    @property
    def read(self) -> tuple[int, ...]:
        """The shape of what it reads first, without the batch."""
        return self.shapes[0] if self.shapes else ()

    @property
    def rank(self) -> int:
        """Axes of what it reads first, the batch included."""
        return len(self.read) + 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Step(abc.ABC):
    """One operation at one place of a network.

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

    arity: ClassVar[int] = 1
    """How many results it reads; -1 for any number from one."""
    moves: ClassVar[bool] = False
    """Whether it selects or moves codes without computing new ones, so that nothing is rounded and the grid stays."""
    flat: ClassVar[bool] = False
    """Whether its result has one axis after the batch, whatever it reads."""
    sizes: ClassVar[Mapping[str, int]] = {}
    """The fields that a description states, and how: 1 number for each axis of space, 2 (before and after it), -1 (the
    same before and after it, written once), 0 for one number in all, or 3 for any count of numbers from zero."""
    sizes_may_miss: ClassVar[bool] = False
    """Whether a description may leave all of them out; the fields then have their default values."""
    calls: ClassVar[frozenset[Any]] = frozenset()
    """What it is in PyTorch: classes of modules, functions, names of tensor methods."""
    offers: ClassVar[str] = ""
    """The same in words, for messages."""
    onnx: ClassVar[Mapping[str, Operator]] = {}
    """The ONNX operators that it is in our files, and how they are checked."""
    qdq: ClassVar[Mapping[str, Operator]] = {}
    """Those that differ, or come in addition, in files of other quantizers."""
    xnnpack: ClassVar[frozenset[str] | None] = None
    """The operations of XNNPACK that it may be, by their names in its schema; empty where ExecuTorch has nothing to
    compute, and None where there is no form for it."""
    not_in_xnnpack: ClassVar[str] = "it is not written for it here"
    """Why there is none, for messages."""

    @classmethod
    def matches(cls, node: fx.Node) -> bool:
        """Whether a call in a traced network is this operation, supported or not."""
        tensors = [value for value in node.args if isinstance(value, fx.Node) and not is_number(value)]
        # beside two activations, a third argument or a keyword could scale one of them
        fits = cls.arity != 2 or (len(tensors) == len(node.args) == 2 and not node.kwargs)
        return operation(node) in cls.calls and fits

    @classmethod
    def arguments(cls, node: fx.Node) -> Sequence[object]:
        """The arguments of such a call that are activations."""
        return [*node.args, node.kwargs.get("input")][: cls.arity]

    @classmethod
    def from_call(cls, call: TracedCall) -> "tuple[Step, ...]":
        """The steps of such a call, one after the other.

        Raises:
            ModelError: when it computes in a way that has no integer form here.
        """
        return (cls(**call.fields),)

    def in_numpy(self, read: list[Codes], grids: list[Grid]) -> Codes:
        """The codes of the result, from the codes and grids of what it reads: slow, obvious, the reference."""
        assert self.moves, "what computes new codes rounds them as a device does"
        moved = self.in_reals([torch.from_numpy(codes).double() for codes in read], None)
        return moved.numpy().astype(np.int32)

    def constants(self, grids: list[Grid]) -> dict[str, Tensor]:
        """What `in_torch` computes with besides `scale` and `sources`, the float32 scales of result and sources."""
        return {}

    def in_torch(self, read: list[Reals], held: Mapping[str, Tensor]) -> Reals:
        """The same codes in PyTorch, to the last one, from codes and the constants that are held on the device."""
        assert self.moves, "what computes new codes rounds them as a device does"
        return self.in_reals(read, None)

    @abc.abstractmethod
    def in_reals(self, read: list[Reals], layer: nn.Module | None) -> Reals:
        """The result before it is rounded, in real numbers and with gradients; `layer` is what a `Layer` trains."""

    def onnx_numbers(self) -> tuple[int, ...]:
        """Whole numbers that the ONNX operator reads after the activations; none by default."""
        return ()

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        """The ONNX operator that computes it, and its settings; the first one of `onnx` without any, by default."""
        return next(iter(self.onnx)), {}

    @classmethod
    def from_onnx(cls, node: OnnxNode, contents: Contents, **fields: Any) -> "Step":
        """The step of a node that was checked, given the fields that all steps have, and those of a `Layer`."""
        return cls(**fields)

    def kernel_in_xnnpack(self, source: Grid, shape: tuple[int, ...]) -> Kernel | None:
        """What XNNPACK convolves with; None for an operation that it computes without constants.

        Args:
            source: of what the step reads.
            shape: of one sample of that, before it was flattened.
        """
        return None

    def require_in_executorch(self, grids: list[Grid]) -> None:
        """Raise unless XNNPACK computes the same codes; asked before anything is written.

        Args:
            grids: of what the step reads.

        Raises:
            ModelError: with the reason, and the formats that have a form for it.
        """
        if self.xnnpack is None:
            self.refuse_in_executorch(self.not_in_xnnpack)

    def refuse_in_executorch(self, reason: str) -> NoReturn:
        """Raise `ModelError`: there is no ExecuTorch form, for this reason."""
        raise ModelError(
            f"{self.path} is a {type(self).__name__}, which has no ExecuTorch form here: {reason}; expected "
            "--to onnx or --to c, which compute it exactly"
        )

    def in_executorch(self, read: list[Reals], convolve: Convolve) -> Reals:
        """The result in operations that XNNPACK takes, between dequantizing and quantizing; two axes of space.

        Args:
            read: what it reads, dequantized.
            convolve: with `kernel_in_xnnpack`.

        Raises:
            ModelError: when XNNPACK has no such operation.
        """
        return self.in_reals(read, None)

    def in_c(self, reads: Sequence[Shape], result: Shape) -> tuple[CCall, ...]:
        """The kernels that compute it in C, one after the other; none where the bytes stay as they are.

        Args:
            reads: the shapes of what it reads.
            result: the shape of what it gives.

        Raises:
            ModelError: when there is no such kernel.
        """
        raise ModelError(f"{self.path} is a {type(self).__name__}, which has no C form here")
