"""Functions of a traced graph, as modules.

A graph keeps the argument `training` of a function as it was at tracing time; a module follows the mode. Therefore
functional dropout becomes a dropout module. Any other function that returns its input in evaluation mode, such as
torchvision's stochastic depth, becomes a `DropoutFunction`.

A subclass of a layer is traced into, down to the function that applies its weights: timm's `BatchNormAct2d` computes
batch norm by the function and then an activation, timm's `Linear` calls `F.linear`. The layer that the subclass is
takes the place of the function.
"""

import inspect
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from obliq.errors import ModelError
from obliq.quantization.operations import DropoutFunction, path_of

_DROPOUTS: dict[Any, type[nn.Module]] = {
    **{
        F.dropout: nn.Dropout,
        F.dropout1d: nn.Dropout1d,
        F.dropout2d: nn.Dropout2d,
        F.dropout3d: nn.Dropout3d,
    },
    **{F.alpha_dropout: nn.AlphaDropout, F.feature_alpha_dropout: nn.FeatureAlphaDropout},
}


def arguments_by_name(node: fx.Node) -> dict[str, Any]:
    """The arguments of a call of a Python function by name; none for others."""
    if node.op != "call_function" or not inspect.isfunction(node.target):
        return {}
    try:
        return dict(inspect.signature(node.target).bind(*node.args, **node.kwargs).arguments)
    except (TypeError, ValueError):
        return {}


def computations(traced: fx.GraphModule) -> list[tuple[Any, ...]]:
    """The computations of a graph, without the flag that depends on the mode."""
    lines: list[tuple[Any, ...]] = []
    for node in traced.graph.nodes:
        given = arguments_by_name(node)
        flagged = isinstance(given.pop("training", None), bool)
        arguments = sorted(given.items()) if flagged else (node.args, node.kwargs)
        lines.append((node.op, str(node.target), str(arguments)))
    return lines


def use_layers(traced: fx.GraphModule, source: nn.Module) -> None:
    """Let layers take the place of functions that apply the weight and bias of a subclass of such a layer.

    Args:
        traced: a graph, changed in place.
        source: the module that it was traced from.
    """
    for node in list(traced.graph.nodes):
        if node.op == "call_function" and node.target is F.linear:
            names = ("input", "weight", "bias")
            given = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
            owner, layer = _owner(given, ("weight", "bias"), source)
            if isinstance(layer, nn.Linear):
                plain = nn.Linear(layer.in_features, layer.out_features, device="meta")
                _call(node, given["input"], _placed(plain, owner, traced, layer))


def _owner(given: dict[str, Any], names: tuple[str, ...], source: nn.Module) -> tuple[str, nn.Module | None]:
    """The name of the module whose tensors are the arguments of these names, and the module; None if there is none."""
    read = {name: str(value.target) for name, value in given.items() if isinstance(value, fx.Node)}
    owner, _, _ = read.get(names[0], "").rpartition(".")
    module = source.get_submodule(owner) if owner else None
    if module is None:
        return owner, None
    tensors = {name for name in names if getattr(module, name, None) is not None}
    used = {name: target for name, target in read.items() if name != "input"}
    return owner, module if used == {name: f"{owner}.{name}" for name in tensors} else None


def _placed(plain: nn.Module, owner: str, traced: fx.GraphModule, layer: nn.Module) -> str:
    """The name of a plain layer, with the tensors of its subclass and the parts of that, where the subclass was."""
    for name, tensor in (*layer._parameters.items(), *layer._buffers.items()):
        setattr(plain, name, tensor)
    for name, part in traced.get_submodule(owner).named_children():
        plain.add_module(name, part)
    traced.set_submodule(owner, plain)
    return owner


def use_modules(evaluating: fx.GraphModule, training: fx.GraphModule, source: nn.Module) -> None:
    """Let modules take the place of functions whose flag differs between the modes, in the graph of training.

    Args:
        evaluating: the graph in evaluation mode.
        training: the graph in training mode, of the same computations; changed in place.
        source: the module that both were traced from.

    Raises:
        ModelError: for a function that computes something of its own in each mode.
    """
    pairs = zip(list(evaluating.graph.nodes), list(training.graph.nodes), strict=True)
    for still, node in pairs:
        given, flag = arguments_by_name(node), arguments_by_name(still).get("training", False)
        if node.op != "call_function" or (
            node.target not in _DROPOUTS and given.get("training", flag) == flag
        ):
            continue
        value = given.pop("input", None)
        value = node.args[0] if value is None else value
        if node.target is F.batch_norm:
            _call(node, value, _batch_norm(node, given, training, source))
        else:
            module = _dropout(node, given)
            name = f"{node.name}_module"
            training.add_submodule(name, module)
            _call(node, value, name)


def _call(node: fx.Node, value: fx.Node, name: str) -> None:
    with node.graph.inserting_after(node):
        call = node.graph.call_module(name, (value,))
    call.meta = dict(node.meta)
    node.replace_all_uses_with(call)
    node.graph.erase_node(node)


def _dropout(node: fx.Node, given: dict[str, Any]) -> nn.Module:
    off_by_default = node.target in (F.alpha_dropout, F.feature_alpha_dropout)
    flag = given.pop("training", not off_by_default)
    if node.target in _DROPOUTS:
        rate = given.get("p", 0.5)
        return _DROPOUTS[node.target](float(rate)) if flag else nn.Identity()
    example = torch.rand(2, 3, 4, 4)
    if any(isinstance(value, fx.Node) for value in given.values()) or not callable(node.target):
        raise _two_functions(node)
    first = next(iter(inspect.signature(node.target).parameters))
    given.pop(first, None)
    module = DropoutFunction(node.target, given)
    if not torch.equal(module.eval()(example), example):
        raise _two_functions(node)
    return module


def _batch_norm(node: fx.Node, given: dict[str, Any], traced: fx.GraphModule, source: nn.Module) -> str:
    """The name of the batch norm whose tensors a function uses; a plain one takes its place, with its parts."""
    owner, module = _owner(given, ("running_mean", "running_var", "weight", "bias"), source)
    if not isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) or not module.track_running_stats:
        raise _two_functions(node)
    kind = nn.BatchNorm1d if isinstance(module, nn.BatchNorm1d) else nn.BatchNorm2d
    settings = {"eps": given.get("eps", 1e-5), "momentum": given.get("momentum", 0.1)}
    plain = kind(module.num_features, **settings, affine=module.affine, device="meta")
    return _placed(plain, owner, traced, module)


def _two_functions(node: fx.Node) -> ModelError:
    return ModelError(
        f"{path_of(node)} computes something else in training than in evaluation; expected dropout, batch norm or "
        "stochastic depth as the only parts that depend on the mode"
    )
