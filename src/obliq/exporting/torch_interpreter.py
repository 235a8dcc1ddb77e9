"""The network of an exported file in PyTorch, exact to the last code.

A quantized network in PyTorch multiplies and adds float32 multiples of the steps, and rounds what it gets; a device
adds integers and rounds `float32(sum) * float32(factor)`. Both round the same number but for its last bits, so
for equal inputs they part only where it lies at a half, by one step (`obliq.exporting.device_biases` has made the
biases equal). That step does not stay one: the next layer multiplies it with weight codes of up to 127, and a
residual sum with the ratio of its scales, which moves outputs by several steps at once. No better float sum closes
this, since the device's own float32 product is on the one or the other side of a half as well; measured, all sums
in float64 left a third of the differences. What closes it is the device's arithmetic: here sums are integers, held in
float64, where every one that fits in int32 is exact, and each rounding is that of `obliq.exporting.interpreter`.
"""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor, nn

from obliq.errors import ModelError
from obliq.exporting.device_biases import with_integer_biases
from obliq.exporting.from_network import graph_of
from obliq.exporting.graph import (
    Add,
    AveragePool,
    Convolution,
    Flatten,
    Graph,
    Grid,
    Linear,
    MaxPool,
    Quantize,
    Step,
)
from obliq.quantization import QuantizedActivation, activations, weights_digest

CONVOLVE: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d}
AVERAGE: dict[int, Callable[..., Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d}
LARGEST: dict[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d}


def padded(values: Tensor, padding: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    """The values with what `padding` says before and after each axis of space; themselves where that is nothing."""
    around = [size for pair in reversed(padding) for size in pair]
    return F.pad(values, around, value=value) if any(around) else values


def observed(
    model: nn.Module, batch: Float[Tensor, "samples ..."]
) -> tuple[Float[ndarray, "samples classes"], dict[str, ndarray]]:
    """Logits in evaluation mode, and int32 codes by the name of the quantizer; the network stays as it is."""
    codes: dict[str, ndarray] = {}
    with _noting(model, codes):
        return logits_in_torch(model, batch), codes


def logits_in_torch(
    model: nn.Module, batch: Float[Tensor, "samples ..."]
) -> Float[ndarray, "samples classes"]:
    """Logits in evaluation mode, on the processor; the network stays as it is."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            device = next(model.parameters()).device
            logits: ndarray = model(batch.to(device)).float().cpu().numpy()
            return logits
    finally:
        model.train(was_training)


@contextlib.contextmanager
def _noting(model: nn.Module, codes: dict[str, ndarray]) -> Iterator[None]:
    def note(name: str, quantizer: QuantizedActivation, _: object, output: Tensor) -> None:
        codes[name] = torch.div(output, quantizer.step).round().cpu().numpy().astype(np.int32)

    hooks = [
        quantizer.register_forward_hook(functools.partial(note, name))
        for name, quantizer in activations(model).items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def exact(model: nn.Module, input_shape: Sequence[int]) -> "Exact":
    """The network that a device runs once `model` is exported, to be asked in PyTorch on any device.

    Args:
        model: quantized with the `deploy` preset and calibrated; left untouched.
        input_shape: of one sample, channels first.

    Raises:
        ModelError: naming the layer that cannot be exported.
    """
    return Exact(graph_of(model, input_shape))


def exact_if_deployed(model: nn.Module, input_shape: Sequence[int]) -> "Exact | None":
    """The same for a network that has the biases of its file already, as `deployed` makes it; None for any other.

    A network as trained adds biases that no device has, so a device's sums would not make it the file's.
    """
    try:
        graph = graph_of(model, input_shape)
    except ModelError:  # it has no file
        return None
    changed = weights_digest(with_integer_biases(model, graph)) != weights_digest(model)
    return None if changed else Exact(graph)


class Exact(nn.Module):
    """An integer graph as a module that answers with logits; it has no parameters and no gradients.

    Attributes:
        graph: what is computed.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        self.units = nn.ModuleDict(
            {str(place): _Constants(graph, step) for place, step in enumerate(graph.steps)}
        )
        readers = {name: place for place, step in enumerate(graph.steps) for name in step.sources}
        self._read_last = {
            place: [name for name, last in readers.items() if last == place] for place in readers.values()
        }

    def forward(self, inputs: Float[Tensor, "samples ..."]) -> Float32[Tensor, "samples classes"]:
        """The logits that a device answers with."""
        last = self.graph.result
        return self._made(inputs, self._read_last)[last.name] * self._constants(-1).scale

    def codes(self, inputs: Float[Tensor, "samples ..."]) -> dict[str, Float32[Tensor, "samples ..."]]:
        """Every activation's codes, as whole float32 numbers, by the name of its step.

        Raises:
            ModelError: when the inputs do not have the shape that the graph was made for.
        """
        return self._made(inputs, {})

    @torch.no_grad()
    def _made(self, inputs: Tensor, let_go: Mapping[int, Sequence[str]]) -> dict[str, Tensor]:
        """Codes by the name of their step, but those that are let go after a step."""
        if tuple(inputs.shape[1:]) != self.graph.input_shape:
            raise ModelError(f"inputs of shape {tuple(inputs.shape[1:])}; expected {self.graph.input_shape}")
        made: dict[str, Tensor] = {}
        for place, step in enumerate(self.graph.steps):
            read = [made[name] for name in step.sources] or [inputs.float()]
            made[step.name] = _apply(step, read, self._constants(place))
            for name in let_go.get(place, ()):
                del made[name]
        return made

    def _constants(self, place: int) -> "_Constants":
        found = self.units[str(place % len(self.units))]
        assert isinstance(found, _Constants)
        return found


class _Constants(nn.Module):
    """What one step computes with, where the network is.

    Attributes:
        scale: float32, of its result.
        sources: float32, the scales of what it reads.
        factors: float32, by which a layer's sums become steps of its result.
        weights: float64, the whole numbers of a layer.
        bias: float64, whole numbers too.
    """

    scale: Tensor
    sources: Tensor
    factors: Tensor
    weights: Tensor
    bias: Tensor

    def __init__(self, graph: Graph, step: Step) -> None:
        super().__init__()
        grids = [graph[name].grid for name in step.sources]
        self.register_buffer("scale", torch.tensor(step.grid.scale, dtype=torch.float32))
        self.register_buffer("sources", torch.tensor([grid.scale for grid in grids], dtype=torch.float32))
        if isinstance(step, Convolution | Linear):
            units = torch.from_numpy(step.weights.bias_scale(grids[0]))
            self.register_buffer("factors", units / self.scale)
            self.register_buffer("weights", torch.from_numpy(step.weights.wide_codes()).double())
            self.register_buffer("bias", torch.from_numpy(step.weights.bias).double())


@functools.singledispatch
def _apply(step: Step, read: list[Tensor], constants: _Constants) -> Tensor:
    raise ModelError(f"{step.path} is a {type(step).__name__}; expected a step that computes")


@_apply.register
def _(step: Quantize, read: list[Tensor], constants: _Constants) -> Tensor:
    return _clamped(read[0] / constants.scale, step.grid)


@_apply.register
def _(step: Convolution, read: list[Tensor], constants: _Constants) -> Tensor:
    summed = CONVOLVE[len(step.stride)](
        padded(read[0].double(), step.padding),
        constants.weights,
        constants.bias,
        step.stride,
        0,
        step.dilation,
        step.groups,
    )
    return _requantized(summed, constants, step.grid)


@_apply.register
def _(step: Linear, read: list[Tensor], constants: _Constants) -> Tensor:
    return _requantized(F.linear(read[0].double(), constants.weights, constants.bias), constants, step.grid)


@_apply.register
def _(step: Add, read: list[Tensor], constants: _Constants) -> Tensor:
    first, second = constants.sources / constants.scale
    return _clamped(read[0] * first + read[1] * second, step.grid)


@_apply.register
def _(step: AveragePool, read: list[Tensor], constants: _Constants) -> Tensor:
    codes = read[0].double()
    if step.kernel is None:
        count, summed = math.prod(codes.shape[2:]), codes.sum(tuple(range(2, codes.dim())), keepdim=True)
    else:
        count = math.prod(step.kernel)
        summed = (AVERAGE[len(step.kernel)](codes, step.kernel, step.stride) * count).round()
    factor = constants.sources[0] / (constants.scale * count)
    return _clamped(summed.float() * factor, step.grid)


@_apply.register
def _(step: MaxPool, read: list[Tensor], constants: _Constants) -> Tensor:
    largest: Tensor = LARGEST[len(step.kernel)](
        read[0], step.kernel, step.stride, step.padding, step.dilation
    )
    return largest


@_apply.register
def _(step: Flatten, read: list[Tensor], constants: _Constants) -> Tensor:
    return read[0].flatten(1)


def _requantized(summed: Tensor, constants: _Constants, grid: Grid) -> Tensor:
    """Sums to codes; they are whole already, unless a library convolves in another way than by adding products."""
    along_channels = (-1,) + (1,) * (summed.dim() - 2)
    return _clamped(summed.round().float() * constants.factors.reshape(along_channels), grid)


def _clamped(values: Tensor, grid: Grid) -> Tensor:
    """Float32 multiples of the step to codes; `round` takes halves to the even number."""
    return values.round().clamp(grid.low, grid.high)
