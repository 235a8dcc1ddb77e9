"""A graph of integer steps as an ExecuTorch program whose every operation XNNPACK computes in integers.

XNNPACK takes an operation for an integer one when what it reads was just dequantized and what it makes is
quantized at once, so each step is written in that way; what would be left to float kernels outside is refused.
All values have two axes of space: a matrix is a convolution whose kernel covers all of space, flattening
is nothing, and an average is a convolution with ones (`obliq.exporting.operations` states how each step is written).
"""

import functools
import importlib
import math
import warnings
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy import ndarray
from torch import Tensor, nn

from obliq.data.input_contract import InputContract
from obliq.errors import ModelError
from obliq.exporting.description import describe_graph
from obliq.exporting.executorch.tables import DESCRIPTION, INPUTS
from obliq.exporting.graph import Graph
from obliq.exporting.grids import Grid, Weights
from obliq.exporting.onnx.check_graph import followed
from obliq.exporting.onnx.reader import read_onnx
from obliq.exporting.onnx.storage import RULES
from obliq.exporting.onnx.writer import to_onnx
from obliq.exporting.operations import Layer, Step
from obliq.exporting.optional import import_executorch
from obliq.io.visible_text import reason_of

_LOW, _HIGH = -128, 127
_MOST_CODES = 2**26
"""In all activations of one sample; a ResNet-50 on 224 x 224 pixels has a fifth of that."""
_EXACT_BITS = 21
"""Integers of so many bits come out of float32 arithmetic as they went in: 3 roundings of 2^-24 are below a half."""


def to_executorch(graph: Graph, exposing: Sequence[str] = (), inputs: InputContract | None = None) -> bytes:
    """The bytes of a program whose method `forward` takes one float32 sample and returns a row of logits.

    Another method, `network`, takes nothing and returns what network it is, as text; a third one, `inputs`, how stored
    values become inputs.

    Args:
        graph: as `graph_of` makes it. Codes of fewer than 8 bits are stored and computed with as bytes, and
            large biases as `held` has them.
        exposing: names of steps whose int8 codes the program returns too, after the logits; unsigned ones
            less 128.
        inputs: how stored values become inputs; without it there is no method for it.

    Raises:
        ModelError: when the extra `executorch` is not installed, or XNNPACK does not take every operation.
    """
    for step in graph.steps:
        step.require_in_executorch([graph[name].grid for name in step.sources])
    exir = import_executorch("exir")
    xnnpack = import_executorch("backends.xnnpack.partition.xnnpack_partitioner").XnnpackPartitioner()
    importlib.import_module("torch.ao.quantization.fx._decomposed")  # registers the operations on codes
    program = _Program(held(graph), exposing).eval()
    sample = torch.zeros(1, *graph.input_shape)
    answers = {DESCRIPTION: describe_graph(graph)} | ({INPUTS: inputs.to_text()} if inputs else {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the lowering's own calls
        try:
            exported = torch.export.export(program, (sample,), strict=False)
            lowered = exir.to_edge_transform_and_lower(
                exported, partitioner=[xnnpack], constant_methods=answers
            )
            left = [node.name for node in lowered.exported_program().graph.nodes if _is_left(node)]
            written: bytes = lowered.to_executorch().buffer
        except ModelError:
            raise
        except Exception as error:  # the libraries have no error of their own that all of these are
            reason = reason_of(error)
            raise ModelError(f"ExecuTorch does not take the network: {reason}; expected it to") from error
    if left:
        raise ModelError(f"XNNPACK leaves out {', '.join(left[:5])}; expected it to compute everything")
    return written


def held(graph: Graph) -> Graph:
    """The graph that a program of this one computes: large biases are rounded to 20 bits.

    A bias goes through float32 arithmetic into the program. That gives the same integer below 2^21; above,
    it would depend on the last bit of three roundings, so that equal integers could give different programs.
    Channels of that kind have a scale that batch norm made next to nothing (see `obliq.exporting.weights`),
    or a bias of which half a millionth is lost in any case.
    """
    return graph.with_values(lambda step: step.grid, _held)


def _held(layer: Layer, source: Grid) -> Weights:
    weights = layer.weights
    _, bits = np.frexp(weights.bias.astype(np.float64))
    unit = 2.0 ** np.where(bits > _EXACT_BITS, bits - _EXACT_BITS + 1, 0)
    bias = np.minimum(np.rint(weights.bias / unit) * unit, 2**31 - unit).astype(np.int32)
    if np.array_equal(bias, weights.bias):
        return weights  # and keep the real numbers that it was rounded from
    return weights.with_bias(bias, source)


def _shapes(graph: Graph) -> dict[str, tuple[int, ...]]:
    """Of one sample of each step's codes, by the rules for files and not by computing: a file may ask for anything.

    Raises:
        ModelError: when the sizes do not fit together, or the codes of one sample are too many.
    """
    values = followed(read_onnx(to_onnx(graph)), RULES)
    shapes = {step.name: values[step.name].shape for step in graph.steps}
    if (elements := sum(map(math.prod, shapes.values()))) > _MOST_CODES:
        raise ModelError(f"{elements} codes for one sample; expected at most {_MOST_CODES}")
    return shapes


def _is_left(node: torch.fx.Node) -> bool:
    """Whether a call is neither one to XNNPACK nor takes a result out of it."""
    name = str(node.target)
    return node.op == "call_function" and "call_delegate" not in name and "getitem" not in name


class _Program(nn.Module):
    """The steps as PyTorch operations on codes; constants are buffers, named by the step's number."""

    def __init__(self, graph: Graph, exposing: Sequence[str]) -> None:
        super().__init__()
        self.graph, self.exposing = graph, tuple(exposing)
        shapes = _shapes(graph)
        for number, step in enumerate(graph.steps):
            if step.sources:
                source = _unflattened(graph, graph[step.sources[0]])
                kernel = step.kernel_in_xnnpack(source.grid, shapes[source.name])
                if kernel is not None:
                    self._keep(number, *kernel)

    def forward(self, sample: Tensor) -> tuple[Tensor, ...]:
        """The logits, then what is exposed."""
        codes: dict[str, Tensor] = {}
        for number, step in enumerate(self.graph.steps):
            read = [_real(codes[name], self.graph[name].grid) for name in step.sources]
            if step.xnnpack == frozenset():
                codes[step.name] = codes[step.sources[0]]
            else:
                codes[step.name] = self._rounded(number, step, read or [_in_the_plane(sample)])
        last = self.graph.result
        return _real(codes[last.name], last.grid).flatten(1), *(codes[name] for name in self.exposing)

    def _keep(self, number: int, codes: ndarray, scale: ndarray, bias: ndarray) -> None:
        self.register_buffer(f"codes_{number}", _in_the_plane(torch.from_numpy(codes)).contiguous())
        self.register_buffer(f"scale_{number}", torch.from_numpy(scale.astype(np.float32)))
        self.register_buffer(f"zeros_{number}", torch.zeros(len(scale), dtype=torch.int64))
        self.register_buffer(f"bias_{number}", torch.from_numpy(bias.astype(np.float32)))

    def _rounded(self, number: int, step: Step, read: list[Tensor]) -> Tensor:
        """The codes of a step's result; those of fewer bits are clamped as bytes."""
        convolve = functools.partial(self._convolved, number)
        codes = _codes(step.in_executorch(read, convolve), step.grid)
        if step.grid.fills_container or step.moves:
            return codes
        low, high = (code * step.grid.scale for code in (step.grid.low, step.grid.high))
        return _codes(F.hardtanh(_real(codes, step.grid), low, high), step.grid)

    def _convolved(self, number: int, read: Tensor, groups: int, *sizes: list[int]) -> Tensor:
        """A convolution; `sizes` are stride, padding and dilation as far as they are not the usual ones."""
        codes, scale, zeros, bias = (
            self.get_buffer(f"{kind}_{number}") for kind in ("codes", "scale", "zeros", "bias")
        )
        weight = torch.ops.quantized_decomposed.dequantize_per_channel(
            codes, scale, zeros, 0, -127, 127, torch.int8
        )
        stride, padding, dilation = [*sizes, *([1, 1], [0, 0], [1, 1])[len(sizes) :]]
        return F.conv2d(read, weight, bias, stride, padding, dilation, groups)


def _unflattened(graph: Graph, step: Step) -> Step:
    """The step whose values these are: in ExecuTorch they keep their axes of space."""
    while step.xnnpack == frozenset():
        step = graph[step.sources[0]]
    return step


def _codes(real: Tensor, grid: Grid) -> Tensor:
    codes: Tensor = torch.ops.quantized_decomposed.quantize_per_tensor(
        real, grid.scale, grid.zero_point + _LOW, _LOW, _HIGH, torch.int8
    )
    return codes


def _real(codes: Tensor, grid: Grid) -> Tensor:
    real: Tensor = torch.ops.quantized_decomposed.dequantize_per_tensor(
        codes, grid.scale, grid.zero_point + _LOW, _LOW, _HIGH, torch.int8
    )
    return real


def _in_the_plane(values: Tensor) -> Tensor:
    """With two axes of space, whether there were none, one or two."""
    missing = (1,) * (4 - values.ndim)
    return values.reshape(*values.shape[:2], *missing, *values.shape[2:])
