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

import functools
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor, nn

from obliq.errors import ModelError
from obliq.exporting.device_biases import with_integer_biases
from obliq.exporting.from_network import graph_of
from obliq.exporting.graph import Graph
from obliq.exporting.operations import Step
from obliq.quantization import QuantizedActivation, activations, weights_digest
from obliq.training.prediction import TorchPredictor


def observed(
    model: nn.Module, batch: Float[Tensor, "samples ..."]
) -> tuple[Float[ndarray, "samples classes"], dict[str, ndarray]]:
    """Logits in evaluation mode, and int32 codes by the name of the quantizer; the network stays as it is."""
    codes: dict[str, ndarray] = {}

    def note(name: str, quantizer: QuantizedActivation, _: object, output: Tensor) -> None:
        codes[name] = torch.div(output, quantizer.step).round().cpu().numpy().astype(np.int32)

    noting = [
        quantizer.register_forward_hook(functools.partial(note, name))
        for name, quantizer in activations(model).items()
    ]
    device = next(model.parameters()).device
    try:
        return TorchPredictor(model, device).predict(batch.to(device)).numpy(), codes
    finally:
        for hook in noting:
            hook.remove()


def exact(model: nn.Module, input_shape: Sequence[int]) -> "Exact":
    """The network that a device runs once `model` is exported, to be run in PyTorch on any device.

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
        self.held = nn.ModuleList(_Held(graph, step) for step in graph.steps)
        readers = {name: place for place, step in enumerate(graph.steps) for name in step.sources}
        self._read_last = {
            place: [name for name, last in readers.items() if last == place] for place in readers.values()
        }

    def forward(self, inputs: Float[Tensor, "samples ..."]) -> Float32[Tensor, "samples classes"]:
        """The logits that a device answers with."""
        last, scale = self.graph.result, self.held[-1].get_buffer("scale")
        return self._computed(inputs, self._read_last)[last.name] * scale

    def codes(self, inputs: Float[Tensor, "samples ..."]) -> dict[str, Float32[Tensor, "samples ..."]]:
        """Every activation's codes, as whole float32 numbers, by the name of its step.

        Raises:
            ModelError: when the inputs do not have the shape that the graph is for.
        """
        return self._computed(inputs, {})

    @torch.no_grad()
    def _computed(self, inputs: Tensor, let_go: Mapping[int, Sequence[str]]) -> dict[str, Tensor]:
        """Codes by the name of their step, without those that are let go after a step."""
        if tuple(inputs.shape[1:]) != self.graph.input_shape:
            raise ModelError(f"inputs of shape {tuple(inputs.shape[1:])}; expected {self.graph.input_shape}")
        codes: dict[str, Tensor] = {}
        for place, (step, held) in enumerate(zip(self.graph.steps, self.held, strict=True)):
            read = [codes[name] for name in step.sources] or [inputs.float()]
            codes[step.name] = step.in_torch(read, dict(held.named_buffers()))
            for name in let_go.get(place, ()):
                del codes[name]
        return codes


class _Held(nn.Module):
    """The constants of one step as buffers, so that they move with the network."""

    def __init__(self, graph: Graph, step: Step) -> None:
        super().__init__()
        grids = [graph[name].grid for name in step.sources]
        scales = torch.tensor([grid.scale for grid in grids], dtype=torch.float32)
        self.register_buffer("scale", torch.tensor(step.grid.scale, dtype=torch.float32))
        self.register_buffer("sources", scales)
        for name, constant in step.constants(grids).items():
            self.register_buffer(name, constant)
