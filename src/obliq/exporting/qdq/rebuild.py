"""A network that can be trained, from the codes and scales in a file of another quantizer.

Each node of the graph is computed in real numbers, as ONNX defines it: rounding an activation to bytes and back
is rounding it to the file's grid, which is fixed. The latent weight of a code is code x scale.
"""

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch.nn.functional as F
from numpy import ndarray
from torch import nn

from obliq.errors import ModelError
from obliq.exporting.grids import Grid
from obliq.exporting.onnx.check_graph import Value, whole
from obliq.exporting.onnx.contents import Contents, OnnxNode
from obliq.exporting.operations import IN_FILES, Step
from obliq.exporting.operations.windows import FURTHEST, Window
from obliq.exporting.qdq.check import QDQ_RULES, is_quantized, values_in
from obliq.exporting.qdq.computed import Computed, ForeignOperator, Function, bound
from obliq.exporting.qdq.parse import tree
from obliq.exporting.qdq.stored import StoredLayer, require_unshared, stored_layer
from obliq.exporting.qdq.tensors import tensors_in
from obliq.exporting.rebuild import RebuiltNetwork, require_rebuilt, trained_weights, with_integers
from obliq.io.budget import Budget

_NOWHERE = Grid(scale=1.0, bits=8, signed=True, low=-128, high=127)
"""The grid of a step that is not rounded: other quantizers round where they like."""


def rebuild_foreign(contents: Contents) -> RebuiltNetwork:
    """The trainable network of a file.

    Layers without a bias keep one of zero, which is not trained. Layers that were not quantized are not trained.

    Args:
        contents: as `foreign_contents` checked them.

    Raises:
        ModelError: when layers share weights, or a scale cannot be trained on.
    """
    steps, layers = _steps(contents)
    require_unshared(layers, contents)
    network = with_integers(RebuiltNetwork(steps, {}, {}, contents.ends[0]), {})
    for number, step in enumerate(steps):
        if step.name in layers and layers[step.name].bias is None:
            bias = network.layers[str(number)].bias
            assert isinstance(bias, nn.Parameter)
            bias.requires_grad_(False)
    return network


def file_with_weights(data: bytes, contents: Contents, network: nn.Module) -> bytes:
    """The file with the codes and biases of a network that was rebuilt from it and then trained.

    Args:
        data: the file that the network was rebuilt from.
        contents: what was read from it.
        network: as `rebuild_foreign` built it, trained on the grid that it has.

    Raises:
        ModelError: when the network is of another file, its grid was moved, or a bias does not lie in raw bytes.
    """
    steps, layers = _steps(contents)
    changed: dict[str, ndarray] = {}
    for _, layer, codes, real in trained_weights(require_rebuilt(steps, network)):
        changed |= layers[layer.name].changed(contents.constants, codes, real)
    return _replaced(data, changed)


def _steps(contents: Contents) -> tuple[list[Step], dict[str, StoredLayer]]:
    """What each node that depends on the input computes, in the order of nodes; and the numbers of layers."""
    values = values_in(contents)
    known = {name: value.constant for name, value in values.items() if value.constant is not None}
    folded = replace(contents, constants=known)
    steps: list[Step] = []
    layers: dict[str, StoredLayer] = {}
    for node in contents.nodes:
        operator = QDQ_RULES[node.operator]
        if not values[node.output].flows:
            continue
        sources = tuple(name for name in node.inputs if values[name].flows)
        fields: dict[str, Any] = {"name": node.output, "path": repr(node.output), "sources": sources}
        fields["grid"] = _NOWHERE
        read = [values[name] for name in node.inputs]
        if is_quantized(node, values):
            layers[node.output] = stored_layer(node, contents, values)
            fields["weights"] = layers[node.output].weights
        if operator.weighted and node.output not in layers:
            steps.append(Computed(**fields, function=_real_layer(node, read)))
        elif isinstance(operator, ForeignOperator):
            steps.append(Computed(**fields, function=operator.plan(node, read)))
        else:
            steps.append(IN_FILES[node.operator].from_onnx(node, folded, **fields))
    return steps, layers


def _real_layer(node: OnnxNode, read: list[Value]) -> Function:
    """A layer that was not quantized: it computes as it is, and nothing in it is trained."""
    given = [value for value in read if value.kind != "nothing"]
    if node.operator == "Conv":
        window, groups = Window.of_node(node, read[1].shape[2:]), whole(node, "group", 1, 1, FURTHEST)
        return bound(node, given, functools.partial(window.convolve, groups))
    if node.operator == "Gemm" and node.settings.get("transB", 0) == 1:
        return bound(node, given, F.linear)
    return bound(node, given, lambda x, weight, *bias: F.linear(x, weight.T, *bias))


def _replaced(data: bytes, changed: Mapping[str, ndarray]) -> bytes:
    """The bytes of a file with other values for some constants, in place."""
    copy = bytearray(data)
    for tensor in tensors_in(tree(memoryview(copy), Budget(len(copy), ModelError))["graph"]):
        if tensor["name"] in changed:
            values = changed[tensor["name"]]
            raw = values.astype(values.dtype.newbyteorder("<")).tobytes()
            if tensor["raw"] is None or len(tensor["raw"]) != len(raw):
                raise ModelError(f"constant {tensor['name']!r} lies in a typed field; expected raw bytes")
            tensor["raw"][:] = raw
    return bytes(copy)
