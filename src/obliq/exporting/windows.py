"""The steps that slide over space: reading the settings of convolutions and pools."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from obliq.errors import ModelError
from obliq.exporting.graph import AveragePool, Grid, MaxPool, Step
from obliq.quantization.operations import module_of, operation

MAX_POOLS: set[Any] = {nn.MaxPool1d, nn.MaxPool2d, F.max_pool1d, F.max_pool2d}
_GLOBAL_POOLS: set[Any] = {nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d}
_GLOBAL_FUNCTIONS: set[Any] = {F.adaptive_avg_pool1d, F.adaptive_avg_pool2d}
_WINDOW_POOLS: set[Any] = {nn.AvgPool1d, nn.AvgPool2d, F.avg_pool1d, F.avg_pool2d}
_MEANS: set[Any] = {torch.mean, "mean"}


def convolution(node: fx.Node) -> dict[str, Any]:
    """Stride, padding, dilation and groups of a convolution.

    Raises:
        ModelError: for a padding that is not with zeros.
    """
    layer: Any = module_of(node)
    if layer.padding_mode != "zeros":
        raise ModelError(f"layer {node.target} pads by {layer.padding_mode!r}; expected zeros")
    if layer.padding == "same":
        totals = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        padding = tuple((total // 2, total - total // 2) for total in totals)
    else:
        sizes = [0] * len(layer.stride) if layer.padding == "valid" else layer.padding
        padding = tuple((size, size) for size in sizes)
    return {
        "stride": tuple(layer.stride), "padding": padding, "dilation": tuple(layer.dilation),
        "groups": layer.groups,
    }  # fmt: skip


def max_pool(node: fx.Node, name: str, source: Step) -> MaxPool:
    """A max pool by module or function.

    Raises:
        ModelError: when it rounds sizes up or returns indices.
    """
    names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    given = _settings(node, names, {"stride": None, "padding": 0, "dilation": 1})
    if given.get("ceil_mode") or given.get("return_indices"):
        raise ModelError(f"{node.target} uses ceil_mode or return_indices; expected neither")
    axes = 1 if operation(node) in (nn.MaxPool1d, F.max_pool1d) else 2
    kernel = _each(given["kernel_size"], axes)
    return MaxPool(
        name=name, path=str(node.target), sources=(source.name,), grid=source.grid, kernel=kernel,
        stride=_each(given["stride"], axes) or kernel, padding=_each(given["padding"], axes),
        dilation=_each(given["dilation"], axes),
    )  # fmt: skip


def average_pool(node: fx.Node, name: str, source: Step, grid: Grid, rank: int) -> AveragePool:
    """An average over all of space, or over windows without padding, of a tensor with `rank` axes.

    Raises:
        ModelError: for other forms.
    """
    kind = operation(node)
    common: dict[str, Any] = {"name": name, "path": node.name, "sources": (source.name,), "grid": grid}
    if kind in _GLOBAL_POOLS | _GLOBAL_FUNCTIONS:
        size = _settings(node, ("output_size",), {})["output_size"]
        if size == 1 or (isinstance(size, tuple | list) and set(size) == {1}):
            return AveragePool(**common, kernel=None, stride=())
    elif kind in _MEANS:
        axes_given = _settings(node, ("dim", "keepdim"), {})["dim"]
        axes_given = axes_given if isinstance(axes_given, tuple | list) else (axes_given,)
        if None not in axes_given and sorted(axis % rank for axis in axes_given) == list(range(2, rank)):
            return AveragePool(**common, kernel=None, stride=())
    elif kind in _WINDOW_POOLS:
        names = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
        given = _settings(node, names, {"stride": None, "padding": 0})
        axes = 1 if kind in (nn.AvgPool1d, F.avg_pool1d) else 2
        kernel = _each(given["kernel_size"], axes)
        plain = not any(_each(given["padding"], axes)) and not given.get("ceil_mode")
        if plain and given.get("divisor_override") is None:
            return AveragePool(**common, kernel=kernel, stride=_each(given["stride"], axes) or kernel)
    raise ModelError(
        f"{node.target} averages in a way without an integer form here; expected one value for all of space, "
        "or windows without padding"
    )


def drops_axes(node: fx.Node) -> bool:
    """Whether an average leaves out the axes that it averages over."""
    return (
        operation(node) in _MEANS and not _settings(node, ("dim", "keepdim"), {"keepdim": False})["keepdim"]
    )


def _settings(node: fx.Node, names: tuple[str, ...], defaults: dict[str, Any]) -> dict[str, Any]:
    """Settings from a module's attributes, or from the arguments of a call."""
    if node.op == "call_module":
        module = module_of(node)
        return {name: getattr(module, name, None) for name in names}
    given = dict(zip(names, node.args[1:], strict=False))
    return dict.fromkeys(names) | defaults | given | {k: v for k, v in node.kwargs.items() if k in names}


def _each(value: Any, axes: int) -> tuple[int, ...]:
    """A setting for every axis; empty when there is none."""
    if value is None or value == []:
        return ()
    if isinstance(value, int):
        return (value,) * axes
    return tuple(value) * (axes if len(value) == 1 else 1)
