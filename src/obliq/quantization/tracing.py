"""From any module to a graph that quantizers can be put into."""

import copy
import operator
from collections import Counter
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from obliq.errors import ModelError
from obliq.quantization.layers import QUANTIZED, QuantizedActivation, QuantizedWeight
from obliq.quantization.operations import NORMALISATIONS, module_of, operation

_KEPT_FLOAT = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.PReLU)
"""Layers with parameters that may stay in floating point between two quantizers."""

_FUNCTIONS_WITH_WEIGHTS = {
    *(F.conv1d, F.conv2d, F.conv3d, F.linear, F.bilinear, F.embedding),
    *(F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d, F.batch_norm),
}
_PRODUCTS = {torch.matmul, torch.mm, torch.bmm, operator.matmul, torch.einsum, "matmul", "mm", "bmm"}

_OUT_OF_PLACE: dict[Any, Any] = {
    **{operator.iadd: operator.add, operator.imul: operator.mul, operator.isub: operator.sub},
    **{f"{name}_": name for name in ("add", "sub", "mul", "div", "relu", "sigmoid", "tanh", "clamp")},
    **{torch.relu_: torch.relu, F.relu_: torch.relu},
}


class _Tracer(fx.Tracer):
    """Takes quantized layers as single steps, as torch's own layers are."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        ours = isinstance(m, QuantizedWeight | QuantizedActivation)
        return ours or super().is_leaf_module(m, module_qualified_name)


def trace(model: nn.Module) -> fx.GraphModule:
    """A copy of a network as a graph, with equal parameters, names and behaviour; nothing in place.

    Args:
        model: any module that torch.fx can trace, with one tensor in and one out; left untouched.

    Raises:
        ModelError: when it cannot be traced, behaves differently in training and evaluation other
            than by dropout and batch norm, or does not map one tensor to one tensor.
    """
    source = copy.deepcopy(model)
    graphs = [_traced(source.train(mode)) for mode in (False, True)]
    if _outline(graphs[0]) != _outline(graphs[1]):
        raise ModelError(
            f"{type(model).__name__} takes another path in training than in evaluation; "
            "expected one forward computation, without branches on self.training"
        )
    traced = graphs[1]
    for node in traced.graph.nodes:
        node.type = None  # annotations of the source would be written into the generated code
    _use_dropout_modules(traced)
    _drop_in_place(traced)
    _check_ends(traced)
    traced.graph.eliminate_dead_code()
    traced.graph.lint()
    traced.recompile()
    return traced.train(model.training)


def check_quantizable(traced: fx.GraphModule) -> None:
    """Raise unless every weight of a traced network can be quantized or may stay float.

    Raises:
        ModelError: naming the layer or call that stands in the way.
    """
    calls = Counter(str(node.target) for node in traced.graph.nodes if node.op == "call_module")
    for name, count in calls.items():
        module = traced.get_submodule(name)
        if isinstance(module, QuantizedWeight | QuantizedActivation):
            raise ModelError(f"layer {name} is quantized already; expected a network in floating point")
        owns = next(module.parameters(), None) is not None
        if owns and type(module) not in QUANTIZED and not isinstance(module, _KEPT_FLOAT):
            raise ModelError(
                f"layer {name} is a {type(module).__name__}, which cannot be quantized; "
                "expected weights only in Conv1d, Conv2d, Linear and normalisation layers"
            )
        if count > 1 and (type(module) in QUANTIZED or type(module) in NORMALISATIONS):
            raise ModelError(
                f"layer {name} is used {count} times; expected one use of each layer with weights"
            )
    _check_calls(traced)
    _check_shared_weights(traced)


def _check_calls(traced: fx.GraphModule) -> None:
    for node in traced.graph.nodes:
        reads_parameter = any(value.op == "get_attr" for value in node.all_input_nodes)
        kind = operation(node)
        if kind in _FUNCTIONS_WITH_WEIGHTS or (kind in _PRODUCTS and reads_parameter):
            raise ModelError(
                f"the network applies weights by a function ({node.name}); expected layers such as nn.Conv2d"
            )


def _check_shared_weights(traced: fx.GraphModule) -> None:
    owners: dict[int, str] = {}
    for name, module in traced.named_modules():
        if type(module) in QUANTIZED:
            first = owners.setdefault(id(module.weight), name)
            if first != name:
                raise ModelError(f"layers {first} and {name} share one weight; expected one weight a layer")


def _traced(model: nn.Module) -> fx.GraphModule:
    try:
        graph = _Tracer().trace(model)
    except Exception as error:  # tracing runs the user's forward with stand-ins: anything can go wrong there
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(
            f"cannot trace {type(model).__name__}: {reason[:200]}; expected a forward without branches, "
            "loops or conversions that depend on tensor values (move them out of the network)"
        ) from error
    return fx.GraphModule(model, graph, class_name=type(model).__name__)


def _outline(traced: fx.GraphModule) -> list[tuple[Any, ...]]:
    """What a graph computes, leaving out the flag that functional dropout carries."""
    lines: list[tuple[Any, ...]] = []
    for node in traced.graph.nodes:
        functional_dropout = node.op == "call_function" and "dropout" in str(node.target)
        arguments = node.args[:1] if functional_dropout else (node.args, node.kwargs)
        lines.append((node.op, str(node.target), str(arguments)))
    return lines


def _use_dropout_modules(traced: fx.GraphModule) -> None:
    """Functional dropout has the mode at tracing time baked in; a module follows train() and eval()."""
    kinds = {F.dropout: nn.Dropout, F.dropout1d: nn.Dropout1d, F.dropout2d: nn.Dropout2d}
    for node in list(traced.graph.nodes):
        kind = kinds.get(node.target) if node.op == "call_function" else None
        if kind is None:
            continue
        rate = node.args[1] if len(node.args) > 1 else node.kwargs.get("p", 0.5)
        active = node.args[2] if len(node.args) > 2 else node.kwargs.get("training", True)
        name = f"{node.name}_module"
        traced.add_submodule(name, kind(float(rate)) if active else nn.Identity())
        with traced.graph.inserting_after(node):
            made = traced.graph.call_module(name, (node.args[0] if node.args else node.kwargs["input"],))
        made.meta = dict(node.meta)
        node.replace_all_uses_with(made)
        traced.graph.erase_node(node)


def _drop_in_place(traced: fx.GraphModule) -> None:
    """Quantizers keep their results for the backward pass, so nothing may overwrite them."""
    in_place = {node for node in traced.graph.nodes if _writes(node)}
    order = {node: position for position, node in enumerate(traced.graph.nodes)}
    for node in sorted(in_place, key=order.__getitem__):
        overwritten = node.all_input_nodes[0]
        for reader in [user for user in overwritten.users if order[user] > order[node]]:
            reader.replace_input_with(overwritten, node)  # it would have read the new values
        if node.op == "call_module":
            module_of(node).inplace = False  # type: ignore[assignment]
        elif node.kwargs.get("inplace"):
            node.kwargs = {**node.kwargs, "inplace": False}
        else:
            node.target = _OUT_OF_PLACE[node.target]


def _writes(node: fx.Node) -> bool:
    if node.op == "call_module":
        return getattr(module_of(node), "inplace", False) is True
    called = node.op in ("call_function", "call_method")
    return called and (bool(node.kwargs.get("inplace")) or node.target in _OUT_OF_PLACE)


def _check_ends(traced: fx.GraphModule) -> None:
    inputs = [node for node in traced.graph.nodes if node.op == "placeholder"]
    required = [node for node in inputs if not node.args]
    if len(inputs) != 1 or len(required) != 1:
        raise ModelError(f"the network takes {len(inputs)} inputs; expected forward(self, x) with one tensor")
    result = next(node for node in traced.graph.nodes if node.op == "output").args[0]
    if not isinstance(result, fx.Node):
        raise ModelError(f"the network returns a {type(result).__name__}; expected one tensor of logits")
