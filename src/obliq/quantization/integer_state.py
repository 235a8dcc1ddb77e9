"""The integer view of a quantized network: codes, scales, and the tensors that stay in floating point.

Saving, exporting, comparing and auditing all use this file; no other code computes codes. Weights are named as their
parameters (`layer1.0.conv1.weight`), activations as their quantizers.
"""

import contextlib
import copy
import hashlib
import json
from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Int8
from torch import Tensor, nn

from obliq.errors import ModelError
from obliq.quantization.integer_tensor import IntegerTensor, broadcast_scale
from obliq.quantization.layers import activations, weighted_layers
from obliq.quantization.precision import weight_range
from obliq.quantization.quantized_weight import QuantizedWeight


def state_digest(integers: Mapping[str, IntegerTensor], floats: Mapping[str, Tensor]) -> str:
    """The digest of a network with this integer and float state, equal to `weights_digest`."""
    digest = hashlib.sha256()
    for label, value, _ in digest_entries(integers, floats):
        digest.update(label)
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def digest_entries(
    integers: Mapping[str, IntegerTensor], floats: Mapping[str, Tensor]
) -> Iterator[tuple[bytes, Tensor, int | None]]:
    """Every tensor of a network, in the order in which the digest takes them.

    Yields:
        A header with the tensor's kind, name and shape, so that no two states have the same bytes; the tensor; and
        for codes their bit width.
    """
    for name, tensor in sorted(integers.items()):
        axis, zero = tensor.channel_axis, tensor.zero_point
        header = _line(["scale", name, tensor.bits, tensor.signed, zero, axis], tensor.scale)
        yield header, tensor.scale, None
        if tensor.codes is not None:
            yield _line(["codes", name], tensor.codes), tensor.codes, tensor.bits
    for name, value in sorted(floats.items()):
        yield _line(["float", name], value), value, None


def _line(header: list[str | int | None], value: Tensor) -> bytes:
    return json.dumps([*header, str(value.dtype), *value.shape]).encode() + b"\n"


_EXTREME = 1 - 2.0**-10
"""Latent weights of the outermost codes, as a share of the code's value; see `_latent`."""


def weight_codes(layer: QuantizedWeight) -> Int8[Tensor, "outputs ..."]:
    """The integer codes of a layer's weights.

    Raises:
        ModelError: when a weight is not a finite number.
    """
    low, high = weight_range(layer.bits)
    with torch.no_grad():
        step = broadcast_scale(layer.weight_step, layer.channel_axis, layer.weight.dim())
        rounded = torch.div(layer.weight, step).round_().clamp_(low, high)
        if not bool(torch.isfinite(rounded).all()):
            raise ModelError("weights hold NaN; expected finite numbers")
        return rounded.to(torch.int8).contiguous()


def integer_state(model: nn.Module) -> dict[str, IntegerTensor]:
    """Every tensor of a network that lies on a grid, by name in sorted order; copies on the processor.

    Raises:
        ModelError: when weights are not finite or an activation has not been calibrated.
    """
    found: dict[str, IntegerTensor] = {}
    for name, layer in weighted_layers(model).items():
        scale = layer.weight_step.detach().to("cpu", torch.float32, copy=True)
        with _naming(f"{name}.weight"):
            codes = weight_codes(layer).cpu()
            found[f"{name}.weight"] = IntegerTensor(codes, scale, 0, layer.bits, layer.channel_axis, True)
    for name, quantizer in activations(model).items():
        if not quantizer.calibrated:
            raise ModelError(
                f"activation {name} has no step from data; expected a call of calibrate_steps before"
            )
        scale = quantizer.step.detach().to("cpu", torch.float32, copy=True)
        with _naming(name):
            found[name] = IntegerTensor(None, scale, 0, quantizer.bits, None, quantizer.signed)
    return dict(sorted(found.items()))


def float_state(model: nn.Module) -> dict[str, Tensor]:
    """Every tensor of a network's state that lies on no grid (biases, batch norm, float layers); copies."""
    gridded = _gridded_entries(model)
    return {
        name: value.detach().to("cpu", copy=True).contiguous()
        for name, value in sorted(model.state_dict().items())
        if name not in gridded
    }


def load_integer_state(
    model: nn.Module, integers: Mapping[str, IntegerTensor], floats: Mapping[str, Tensor]
) -> nn.Module:
    """A copy of a network with this state; its integer state is then exactly the given one.

    Latent weights are placed on their codes, the outermost ones slightly inside, so that training can move them.

    Args:
        model: a network of the same architecture, precision and grids; left untouched.
        integers: as returned by `integer_state`.
        floats: as returned by `float_state`.

    Raises:
        ModelError: naming the first tensor that is missing, unknown or does not fit.
    """
    loaded = copy.deepcopy(model)
    layers = {f"{name}.weight": layer for name, layer in weighted_layers(loaded).items()}
    quantizers = activations(loaded)
    _check_names("integer", set(layers) | set(quantizers), set(integers))
    own = loaded.state_dict()
    _check_names("float", set(own) - _gridded_entries(loaded), set(floats))
    with torch.no_grad():
        for name, layer in layers.items():
            tensor = integers[name]
            _check_weight(name, layer, tensor)
            layer.weight_step.copy_(tensor.scale)
            layer.weight.copy_(_latent(tensor))
        for name, quantizer in quantizers.items():
            tensor = integers[name]
            given = (tensor.codes is None, tensor.bits, tensor.signed)
            if given != (True, quantizer.bits, quantizer.signed):
                raise ModelError(
                    f"activation {name} has {tensor.bits} bits, signed={tensor.signed}; "
                    f"expected {quantizer.bits} bits, signed={quantizer.signed} and no codes"
                )
            quantizer.set_step(tensor.scale)
        for name, value in floats.items():
            _check_float(name, value, own[name])
            own[name].copy_(value)
    return loaded


def latent_state(model: nn.Module) -> dict[str, Tensor]:
    """The float weights behind the codes, named as in `integer_state`; copies on the processor."""
    return {
        f"{name}.weight": layer.weight.detach().to("cpu", copy=True).contiguous()
        for name, layer in sorted(weighted_layers(model).items())
    }


def load_latent_state(model: nn.Module, latents: Mapping[str, Tensor]) -> nn.Module:
    """A copy of a network with these latent weights, which must round to the codes it has.

    Raises:
        ModelError: naming the first weight that is missing, unknown or rounds to other codes.
    """
    loaded = copy.deepcopy(model)
    layers = {f"{name}.weight": layer for name, layer in weighted_layers(loaded).items()}
    _check_names("latent", set(layers), set(latents))
    for name, layer in layers.items():
        before = weight_codes(layer)
        _check_float(name, latents[name], layer.weight)
        with torch.no_grad():
            layer.weight.copy_(latents[name])
        if not torch.equal(before, weight_codes(layer)):
            raise ModelError(
                f"latent weight {name} does not round to the codes of the network; expected the weights that were "
                "saved with it"
            )
    return loaded


def changed_codes(before: nn.Module, after: nn.Module) -> float:
    """The share of weight codes, 0 to 1, that differ between two networks of one architecture.

    Raises:
        ModelError: when the networks have no quantized weights or different ones.
    """
    old, new = weighted_layers(before), weighted_layers(after)
    if not old:
        raise ModelError("the network has no quantized weights; expected a quantized network to compare")
    _check_names("weight", set(old), set(new))
    changed = total = 0
    for name, layer in old.items():
        first, second = weight_codes(layer).cpu(), weight_codes(new[name]).cpu()
        if first.shape != second.shape:
            raise ModelError(f"weight {name} has shape {tuple(second.shape)}; expected {tuple(first.shape)}")
        changed += int((first != second).sum())
        total += first.numel()
    return changed / total


def weights_digest(model: nn.Module) -> str:
    """SHA-256 of a network's content: every code, scale, bit width, name and float value.

    It depends neither on the file format, nor on the order of tensors, nor on latent weights.

    Raises:
        ModelError: as `integer_state`.
    """
    return state_digest(integer_state(model), float_state(model))


@contextlib.contextmanager
def _naming(name: str) -> Iterator[None]:
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from error


def _gridded_entries(model: nn.Module) -> set[str]:
    """The names in `state_dict` that the integer state represents."""
    weights = {f"{name}.{part}" for name in weighted_layers(model) for part in ("weight", "weight_step")}
    return weights | {f"{name}.{part}" for name in activations(model) for part in ("step", "calibrated")}


def _latent(tensor: IntegerTensor) -> Tensor:
    """Values that round to the codes and that training can move.

    The gradient of a latent weight is zero at the ends of the range and beyond. Weights exactly on the outermost
    codes (with 2 bits, all but the zeros) could never move again.
    """
    assert tensor.codes is not None
    _, high = weight_range(tensor.bits)
    values = tensor.values()
    return torch.where(tensor.codes.abs() == high, values * _EXTREME, values)


def _check_names(kind: str, expected: set[str], given: set[str]) -> None:
    if missing := sorted(expected - given):
        raise ModelError(f"{kind} tensor {missing[0]} is missing; expected {len(expected)} such tensors")
    if unknown := sorted(given - expected):
        raise ModelError(f"{kind} tensor {unknown[0]} is unknown; expected {len(expected)} others")


def _check_weight(name: str, layer: QuantizedWeight, tensor: IntegerTensor) -> None:
    if tensor.codes is None:
        raise ModelError(f"weight {name} has no codes; expected int8 codes")
    if tensor.codes.shape != layer.weight.shape:
        raise ModelError(
            f"weight {name} has shape {tuple(tensor.codes.shape)}; expected {tuple(layer.weight.shape)}"
        )
    if (tensor.bits, tensor.channel_axis) != (layer.bits, layer.channel_axis):
        raise ModelError(
            f"weight {name} has {tensor.bits} bits along axis {tensor.channel_axis}; "
            f"expected {layer.bits} bits along axis {layer.channel_axis}"
        )


def _check_float(name: str, value: Tensor, own: Tensor) -> None:
    if value.shape != own.shape or value.dtype != own.dtype:
        raise ModelError(
            f"tensor {name} is {value.dtype} of shape {tuple(value.shape)}; "
            f"expected {own.dtype} of shape {tuple(own.shape)}"
        )
    if not bool(torch.isfinite(value).all()):
        raise ModelError(f"tensor {name} holds NaN or infinity; expected finite numbers")
