"""A traced network whose sizes are known: each number that it computes from shapes, and the shape of each tensor.

Networks compute kernel sizes and reshapes from the shapes of tensors (`x.size()[2:]`). For one input shape these are
constants of the exported file. They come from one evaluation on tensors without values, on PyTorch's meta device.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from obliq.errors import ModelError
from obliq.io.visible_text import reason_of
from obliq.quantization import QuantizedActivation, QuantizedWeight
from obliq.quantization.operations import is_number, path_of

BATCH = 3
"""Samples of the evaluation; a number that was computed from the batch has this value."""


class KnownSizes:
    """A copy of a network's graph in which numbers are constants.

    Attributes:
        model: the copy; it shares its modules with the network.
        shapes: of each tensor, by the name of its node, the batch of `BATCH` samples included.
    """

    def __init__(self, model: fx.GraphModule, input_shape: Sequence[int]) -> None:
        self.model = fx.GraphModule(model, copy.deepcopy(model.graph))
        found = _Evaluation(model)
        found.extra_traceback = False  # an error stays one line
        found.run(torch.empty(BATCH, *input_shape, device="meta"))
        self.shapes = {
            name: tuple(one.shape) for name, one in found.results.items() if isinstance(one, Tensor)
        }

        def known(node: fx.Node) -> Any:
            return found.results[node.name] if is_number(node) else node

        for node in self.model.graph.nodes:
            if not is_number(node):
                node.args, node.kwargs = fx.node.map_arg((node.args, node.kwargs), known)

    def of(self, node: fx.Node) -> tuple[int, ...]:
        """The shape of what a node computes, without the batch."""
        return self.shapes[node.name][1:]


class _Evaluation(fx.Interpreter):
    """Runs a network on the meta device; quantizers pass values on. `results` has what each node gives."""

    def __init__(self, model: fx.GraphModule) -> None:
        tensors = [*model.parameters(), *model.buffers()]
        without_values: dict[int, Any] = {}
        for tensor in tensors:
            empty = torch.empty_like(tensor, device="meta")
            kept = isinstance(tensor, nn.Parameter)
            without_values[id(tensor)] = nn.Parameter(empty, tensor.requires_grad) if kept else empty
        super().__init__(copy.deepcopy(model, without_values).eval())
        self.results: dict[str, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        try:
            result = super().run_node(n)
        except Exception as error:  # the user's own calls: anything can go wrong there
            reason = reason_of(error, 160)
            raise ModelError(
                f"{path_of(n)} cannot be computed for this input shape: {reason}; expected the shape of one input "
                "that the network accepts, channels first"
            ) from error
        self.results[n.name] = result
        return result

    def call_module(self, target: fx.node.Target, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        module = self.fetch_attr(str(target))
        if isinstance(module, QuantizedActivation):
            return args[0]
        if isinstance(module, QuantizedWeight):
            return module.compute(args[0], module.weight, *args[1:], **kwargs)
        return super().call_module(target, args, kwargs)
