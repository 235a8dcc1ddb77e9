"""From any module to a graph into which quantizers can be inserted."""

import copy
import operator
import random
from collections import Counter

import numpy as np
import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.utils import parametrize

from obliq.errors import ModelError
from obliq.io.user_code import exit_as_error, place_in_code
from obliq.quantization.functions_as_modules import arguments_by_name, computations, use_layers, use_modules
from obliq.quantization.layers import QUANTIZED, QuantizedActivation, quantizable_layers
from obliq.quantization.operations import NORMALISATIONS, PRESERVING, module_of, operation
from obliq.quantization.quantized_weight import QuantizedWeight

_KEPT_FLOAT = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.PReLU)
"""Layers with parameters that may stay in floating point between two quantizers."""

_FUNCTIONS_WITH_WEIGHTS = {
    *(F.conv1d, F.conv2d, F.conv3d, F.linear, F.bilinear, F.embedding),
    *(F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d, F.batch_norm),
}
_PRODUCTS = {torch.matmul, torch.mm, torch.bmm, operator.matmul, torch.einsum, "matmul", "mm", "bmm"}

_OPERATORS = {operator.iadd: operator.add, operator.imul: operator.mul, operator.isub: operator.sub}
_OPERATORS |= {operator.itruediv: operator.truediv, operator.ipow: operator.pow}
"""Operators of statements such as `x += y`, and those that compute the same into a new tensor."""


_REMOVED_BY = {"WeightNorm": "remove_weight_norm", "SpectralNorm": "remove_spectral_norm"}
"""Reparametrizations by hooks, and the functions of torch that undo them."""


class _Tracer(fx.Tracer):
    """Keeps quantized layers whole, as it keeps torch's own layers."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        ours = isinstance(m, QuantizedWeight | QuantizedActivation)
        return ours or super().is_leaf_module(m, module_qualified_name)


def trace(model: nn.Module) -> fx.GraphModule:
    """A copy of a network as a graph, with equal parameters, names and behaviour, and without in-place statements.

    Args:
        model: any module that torch.fx can trace, with one tensor in and one out; left untouched.

    Raises:
        ModelError: when the network cannot be traced, has hooks, draws random numbers in its forward, changes a view
            of a tensor in place, behaves differently in training and evaluation other than by dropout and batch
            norm, or does not map one tensor to one tensor.
    """
    _check_hooks(model)
    source = copy.deepcopy(model)
    graphs = [_traced(source.train(mode)) for mode in (False, True)]
    if computations(graphs[0]) != computations(graphs[1]):
        raise ModelError(
            f"{type(model).__name__} takes another path in training than in evaluation; "
            "expected one forward computation, without branches on self.training"
        )
    traced = graphs[1]
    for node in traced.graph.nodes:
        node.type = None  # annotations of the source would be written into the generated code
    use_modules(graphs[0], traced, source)
    use_layers(traced, source)
    _restore_buffers(model, traced)
    _drop_in_place(traced)
    _check_ends(traced)
    traced.graph.eliminate_dead_code()
    traced.graph.lint()
    traced.recompile()
    return traced.train(model.training)


def check_quantizable(traced: fx.GraphModule) -> None:
    """Raise unless every weight of a traced network can be quantized or may stay float.

    Raises:
        ModelError: naming the layer or call that prevents it.
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
                f"expected weights only in {quantizable_layers()} and normalisation layers"
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


def _check_hooks(model: nn.Module) -> None:
    """A graph has no place for hooks: they would be lost without an error."""
    for name, module in model.named_modules():
        where = f"module {name!r}" if name else f"the network ({type(module).__name__})"
        if parametrize.is_parametrized(module):
            raise ModelError(
                f"{where} has a parametrized weight; expected plain parameters (call "
                "torch.nn.utils.parametrize.remove_parametrizations on it first)"
            )
        for hook in module._forward_pre_hooks.values():
            if type(hook).__name__ in _REMOVED_BY:
                raise ModelError(
                    f"{where} has {type(hook).__name__}; expected plain parameters (call "
                    f"torch.nn.utils.{_REMOVED_BY[type(hook).__name__]} on it first)"
                )
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
        if any(hooks) or module._backward_pre_hooks:
            raise ModelError(
                f"{where} has a hook, which a quantized copy would lose; expected no hooks (remove it, or write "
                "what it does into forward)"
            )


def _traced(model: nn.Module) -> fx.GraphModule:
    before = _random_states()
    tracer = _Tracer()
    try:
        with exit_as_error():
            graph = tracer.trace(model)
    except Exception as error:  # tracing runs the user's forward with stand-ins: anything can go wrong there
        reason = " ".join(str(error).split()) or type(error).__name__
        stack = list(getattr(tracer, "module_stack", {}).values())  # of modules that were not left
        path, kind = stack[-1] if stack else ("", type(model))
        where = f"{path} ({kind.__name__})" if path else kind.__name__
        line = place_in_code(error)
        raise ModelError(
            f"cannot trace {where}{f' at {line}' if line else ''} [{reason[:200]}]; expected a forward without "
            "branches, loops or conversions that depend on tensor values (move them out of the network)"
        ) from error
    if _random_states() != before:
        # A number drawn while tracing would become a constant of the graph, and a branch on it would become fixed.
        raise ModelError(
            f"the forward of {type(model).__name__} draws random numbers; expected none outside dropout modules "
            "(replace a random branch such as stochastic depth by nn.Identity before quantizing)"
        )
    return fx.GraphModule(model, graph, class_name=type(model).__name__)


def _random_states() -> tuple[bytes, object, str]:
    """The states of the generators that a forward could draw from."""
    return torch.get_rng_state().numpy().tobytes(), random.getstate(), repr(np.random.get_state())


def _restore_buffers(model: nn.Module, traced: fx.GraphModule) -> None:
    """Tracing runs statements on buffers, such as the count of batches in a batch norm."""
    for name, buffer in traced.named_buffers():
        before = model.get_buffer(name)
        if not buffer.is_meta and not torch.equal(buffer, before):
            buffer.copy_(before)


def _drop_in_place(traced: fx.GraphModule) -> None:
    """Let every statement compute into a new tensor, because quantizers keep their results for the backward pass.

    Later readers of the overwritten tensor read the new one instead.

    Raises:
        ModelError: when another view of the overwritten tensor is read later, or the statement has no form that
            computes into a new tensor.
    """
    order = {node: position for position, node in enumerate(traced.graph.nodes)}
    whole = {node: _whole(node) for node in order}
    for node in [node for node in order if _writes(node)]:
        overwritten = node.all_input_nodes[0]
        views = [other for other in order if whole[other] is whole[overwritten] and other is not overwritten]
        if any(order[user] > order[node] for view in views if view is not node for user in view.users):
            raise ModelError(
                f"the forward changes a view of a tensor in place ({_spelled(node)}) and reads the tensor "
                "afterwards; expected a statement that assigns its result (x = torch.relu(x))"
            )
        for reader in [user for user in overwritten.users if order[user] > order[node]]:
            reader.replace_input_with(overwritten, node)  # it would have read the new values
        _compute_into_new_tensor(node)


def _whole(node: fx.Node) -> fx.Node:
    """The node whose memory this one's value may share: itself, or the start of a chain of views."""
    while operation(node) in PRESERVING and node.all_input_nodes:
        node = node.all_input_nodes[0]
    return node


def _writes(node: fx.Node) -> bool:
    """Whether a node changes its first argument."""
    if node.op == "call_module":
        return getattr(module_of(node), "inplace", False) is True
    if node.op not in ("call_function", "call_method"):
        return False
    if node.target in _OPERATORS or node.target is operator.setitem or "out" in node.kwargs:
        return bool(node.all_input_nodes)
    return arguments_by_name(node).get("inplace") is True or _ends_in_place(_name(node))


def _compute_into_new_tensor(node: fx.Node) -> None:
    if node.op == "call_module":
        module_of(node).inplace = False  # type: ignore[assignment]
    elif node.target in _OPERATORS:
        node.target = _OPERATORS[node.target]
    elif (given := arguments_by_name(node)).get("inplace") is True:
        node.args, node.kwargs = (), {**given, "inplace": False}
    else:
        name = _name(node)[:-1]
        places = (torch.Tensor,) if node.op == "call_method" else (F, torch)
        found = next((getattr(place, name) for place in places if hasattr(place, name)), None)
        if node.target is operator.setitem or "out" in node.kwargs or found is None:
            raise ModelError(
                f"the forward changes a tensor in place ({_spelled(node)}), which a quantized copy cannot follow; "
                "expected an expression that computes a new tensor, such as torch.where or masked_fill"
            )
        node.target = name if node.op == "call_method" else found


def _name(node: fx.Node) -> str:
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")


def _ends_in_place(name: str) -> bool:
    """Whether a name is that of a torch operation in place: one underscore at the end."""
    return name.endswith("_") and not name.endswith("__")


def _spelled(node: fx.Node) -> str:
    """A statement as a user would find it: the called function, and the module that calls it."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    inside = stack[-1][0] if stack else ""
    what = str(node.target) if node.op == "call_module" else _name(node)
    return f"{what} in module {inside!r}" if inside else what


def _check_ends(traced: fx.GraphModule) -> None:
    inputs = [node for node in traced.graph.nodes if node.op == "placeholder"]
    required = [node for node in inputs if not node.args]
    if len(inputs) != 1 or len(required) != 1:
        raise ModelError(f"the network takes {len(inputs)} inputs; expected forward(self, x) with one tensor")
    result = next(node for node in traced.graph.nodes if node.op == "output").args[0]
    if not isinstance(result, fx.Node):
        raise ModelError(f"the network returns a {type(result).__name__}; expected one tensor of logits")
