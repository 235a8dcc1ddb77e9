"""Quantizers of Brevitas and of torch.ao in a network: read, and taken out.

Neither package is imported. Their layers are known by what they have: `weight_quant` and `act_quant` with a scale and a
bit width (Brevitas 0.13), or fake quantizers with `scale`, `zero_point`, `quant_min` and `quant_max` that `prepare_qat`
placed (torch.ao 2.13).
"""

import copy
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from obliq.quantization.layers import QUANTIZED

OUTPUT, INPUT, BIAS = "output_quant", "input_quant", "bias_quant"
_HOOKED = "activation_post_process"
_ENABLED = "fake_quant_enabled"
_FUSED_NORM = "bn"


@dataclass(frozen=True, eq=False)
class ForeignGrid:
    """Values that a quantizer rounds to: whole multiples of a step.

    Attributes:
        step: a positive step; one for each output of a layer, or without a shape.
        low: smallest multiple.
        high: largest multiple.
    """

    step: Float[Tensor, "*outputs"]
    low: int
    high: int

    def is_same(self, other: "ForeignGrid") -> bool:
        """Whether two quantizers round alike."""
        return (self.low, self.high) == (other.low, other.high) and torch.equal(self.step, other.step)


@dataclass(frozen=True, eq=False)
class ForeignNetwork:
    """A network as another tool trained it, and the same without quantizers.

    Attributes:
        module: as it came, with its quantizers; its statistics no longer change.
        plain: ordinary layers with equal weights. A batch norm that was fused into a layer is folded into its weights.
        weights: the grid of the weights of each layer, by its path in `plain`.
        outputs: the grid of what a module returns, by its path in `plain`.
        inputs: the grid of what a module reads.
        names: the paths of modules in `module`, by those in `plain` that differ from them.
        problems: quantizers that are not of this kind, each with the path of its module and what to do.
    """

    module: nn.Module = field(repr=False)
    plain: nn.Module = field(repr=False)
    weights: Mapping[str, ForeignGrid]
    outputs: Mapping[str, ForeignGrid]
    inputs: Mapping[str, ForeignGrid]
    names: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def has_foreign_quantizers(model: nn.Module) -> bool:
    """Whether a network has quantizers of Brevitas or torch.ao."""
    return any(
        _is_fake_quantizer(module) or isinstance(getattr(module, name, None), nn.Module)
        for module in model.modules()
        for name in ("weight_quant", "act_quant")
    )


def without_foreign_quantizers(model: nn.Module) -> nn.Module:
    """The network as ordinary layers, with equal weights; itself where it has no such quantizers."""
    return _Reading(model).plain if has_foreign_quantizers(model) else model


def read_foreign_network(model: nn.Module) -> ForeignNetwork:
    """The grids of all quantizers, and the network without them. The given network is left untouched."""
    module = copy.deepcopy(model).eval()
    for part in module.modules():
        if _is_fake_quantizer(part) and isinstance(
            enabled := getattr(part, "observer_enabled", None), Tensor
        ):
            enabled.fill_(0)  # it would move the scales, in evaluation mode as well
        biases: Any = getattr(part, BIAS, None)
        if _is_on(biases):
            biases.disable_quant = True  # ours stay floats until a file rounds them
    reading = _Reading(module)
    with torch.no_grad():
        reading.read()
    return ForeignNetwork(
        module=module,
        plain=reading.plain,
        weights=reading.weights,
        outputs=reading.outputs,
        inputs=reading.inputs,
        names=reading.names,
        problems=tuple(reading.problems),
    )


class _Reading:
    """One pass over a network, which replaces its quantized modules by ordinary ones and notes where each was."""

    def __init__(self, model: nn.Module) -> None:
        self.weights: dict[str, ForeignGrid] = {}
        self.outputs: dict[str, ForeignGrid] = {}
        self.inputs: dict[str, ForeignGrid] = {}
        self.names: dict[str, str] = {}
        self.problems: list[str] = []
        self._found: list[tuple[dict[str, ForeignGrid], str, str, Any]] = []
        self.plain = self._taken_out(copy.deepcopy(model).eval(), "")

    def read(self) -> None:
        """Read the grid of every quantizer that was found."""
        for place, path, name, quantizer in self._found:
            reads = _grid_of_fake_quantizer if _is_fake_quantizer(quantizer) else _grid_of_proxy
            found = reads(quantizer)
            if isinstance(found, ForeignGrid):
                place[path] = found
            else:
                self.problems.append(f"{name or 'the network'}: {found}")

    def _taken_out(self, module: nn.Module, path: str) -> nn.Module:
        if _is_fake_quantizer(module):
            self._found.append((self.outputs, path, path, module))
            return nn.Identity()
        if (plain := self._plain_layer(module, path)) is not None:
            return plain
        if isinstance(getattr(module, "act_quant", None), nn.Module):
            return self._plain_activation(module, path)
        for name in (INPUT, OUTPUT):
            if _is_on(getattr(module, name, None)):
                self.problems.append(
                    f"{path}: a {type(module).__name__} with {name}; expected quantizers in QuantConv1d, QuantConv2d, "
                    "QuantLinear, QuantReLU and QuantIdentity"
                )
        hooked = getattr(module, _HOOKED, None)
        if hooked is not None and type(module).__name__ != "FloatFunctional":  # which calls it in its forward
            self._note(self.outputs, path, path, hooked)
            del module._modules[_HOOKED]
            module._forward_hooks.clear()
            module._forward_pre_hooks.clear()
        if type(module).__name__ in ("QuantStub", "DeQuantStub", "QuantWrapper") and not list(
            module.children()
        ):
            return nn.Identity()
        for name, child in list(module.named_children()):
            module._modules[name] = self._taken_out(child, f"{path}.{name}".strip("."))
        return module

    def _note(self, place: dict[str, ForeignGrid], path: str, name: str, quantizer: object) -> None:
        if _is_on(quantizer):
            self._found.append((place, path, name, quantizer))

    def _plain_layer(self, module: nn.Module, path: str) -> nn.Module | None:
        """The layer of torch that a quantized one is; None for other modules."""
        quantizer = getattr(module, "weight_quant", None) or getattr(module, "weight_fake_quant", None)
        kind = next((kind for kind in type(module).__mro__ if kind in QUANTIZED), None)
        if quantizer is None or kind is None:
            if _is_on(quantizer):
                self.problems.append(
                    f"{path}: the weights of a {type(module).__name__} are quantized; expected convolutions of one or "
                    "two dimensions and linear layers"
                )
            return None
        norm = getattr(module, _FUSED_NORM, None)
        layer = _copied_layer(module, kind, norm)
        relu = "ReLU" in type(module).__name__
        # the layer is the first part where an activation was fused into it
        own, last = (f"{path}.0".strip("."), f"{path}.1".strip(".")) if relu else (path, path)
        self.names |= {own: path, last: path} if relu else {}
        if _is_on(quantizer):
            self._found.append((self.weights, own, path, quantizer))
        else:
            self.problems.append(
                f"{path}: its weights are not quantized; expected quantized weights in every layer"
            )
        self._note(self.inputs, own, path, getattr(module, INPUT, None))
        for name in (OUTPUT, _HOOKED):
            self._note(self.outputs, last, path, getattr(module, name, None))
        return nn.Sequential(layer, nn.ReLU()) if relu else layer

    def _plain_activation(self, module: nn.Module, path: str) -> nn.Module:
        quantizer: Any = getattr(module, "act_quant", None)
        proxy = getattr(quantizer, "fused_activation_quant_proxy", None)
        function = getattr(proxy, "activation_impl", None)
        self._note(self.inputs, path, path, getattr(module, INPUT, None))
        self._note(self.outputs, path, path, quantizer)
        if type(module).__name__ == "QuantIdentity":
            return nn.Identity()
        if type(function) is nn.ReLU:
            return nn.ReLU()
        self.problems.append(f"{path}: a {type(module).__name__}; expected QuantReLU or QuantIdentity")
        return nn.Identity()


def _is_fake_quantizer(module: object) -> bool:
    """Whether a module is a fake quantizer of torch.ao, by what it holds."""
    needed = (_ENABLED, "scale", "zero_point", "quant_min", "quant_max")
    return isinstance(module, nn.Module) and all(hasattr(module, name) for name in needed)


def _is_on(quantizer: object) -> bool:
    """Whether a quantizer is there and rounds."""
    if _is_fake_quantizer(quantizer):
        return bool(torch.as_tensor(getattr(quantizer, _ENABLED)).any())
    return isinstance(quantizer, nn.Module) and bool(getattr(quantizer, "is_quant_enabled", False))


def _grid_of_fake_quantizer(quantizer: Any) -> ForeignGrid | str:
    """The grid of a fake quantizer of torch.ao, whose code q stands for the value (q - zero point) x scale."""
    scale, zero = (
        torch.as_tensor(quantizer.scale).float().flatten(),
        torch.as_tensor(quantizer.zero_point).flatten(),
    )
    if len(scale) > 1 and getattr(quantizer, "ch_axis", 0) != 0:
        return f"scales along axis {quantizer.ch_axis}; expected them along the outputs (axis 0)"
    if len(set(zero.tolist())) > 1 or (len(scale) > 1 and int(zero[0])):
        return f"zero points {zero[:3].tolist()}; expected 0 for all outputs (a symmetric scheme)"
    shift = int(zero[0])
    return _grid(scale, quantizer.quant_min - shift, quantizer.quant_max - shift)


def _grid_of_proxy(quantizer: Any) -> ForeignGrid | str:
    """The grid of a quantizer of Brevitas, or why it has none."""
    rounding = str(getattr(quantizer, "rounding_mode", "ROUND")).rpartition(".")[2].upper()
    if rounding != "ROUND":
        return f"values are rounded by {rounding}; expected to the nearest (ROUND)"
    if not hasattr(quantizer, "bit_width") or quantizer.bit_width() is None:
        return f"a {type(quantizer).__name__} has no bit width; expected integers of 2 to 8 bits"
    bits = float(quantizer.bit_width())
    zero = quantizer.zero_point()
    if zero is not None and bool(torch.as_tensor(zero).any()):
        return f"zero point {torch.as_tensor(zero).flatten()[0]:g}; expected 0 (a symmetric scheme)"
    if bits != round(bits) or not 2 <= bits <= 8:
        return f"{bits:g} bits; expected a whole number from 2 to 8"
    scale = torch.as_tensor(quantizer.scale()).detach().float()
    if scale.dim() > 1 and scale.numel() not in (1, scale.shape[0]):
        return f"scales of shape {tuple(scale.shape)}; expected one, or one for each output"
    narrow, top = int(bool(quantizer.is_narrow_range)), 2 ** round(bits)
    if quantizer.is_signed:
        return _grid(scale.flatten(), -top // 2 + narrow, top // 2 - 1)
    return _grid(scale.flatten(), 0, top - 1 - narrow)


def _grid(scale: Tensor, low: int, high: int) -> ForeignGrid | str:
    if not bool(torch.isfinite(scale).all()) or not bool((scale > 0).all()):
        return "a scale is 0, negative or not finite; expected one from training (were the weights loaded?)"
    return ForeignGrid(scale.reshape(()) if len(scale) == 1 else scale.clone(), low, high)


def _copied_layer(module: Any, kind: type[nn.Module], norm: Any) -> nn.Module:
    """A plain layer with the weights of a quantized one, and of the batch norm that is fused into it."""
    names = inspect.signature(kind.__init__).parameters.keys() - {"self", "bias", "device", "dtype"}
    arguments = {name: getattr(module, name) for name in names}
    weight, bias = module.weight.detach().clone(), module.bias
    if norm is not None:
        # y = w x + b - mean, times gamma / sqrt(var + eps), plus beta
        factor = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)
        mean = norm.running_mean if bias is None else norm.running_mean - bias.detach()
        weight = weight * factor.reshape(-1, *[1] * (weight.dim() - 1))
        bias = norm.bias.detach() - mean * factor
    layer = kind(**arguments, bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone())
    return layer.train(bool(module.training))
