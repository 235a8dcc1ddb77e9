"""Layers whose weights are rounded to a learned grid while training, and a module that rounds activations."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from obliq.errors import ModelError
from obliq.quantization.learned_step import (
    SMALLEST_STEP,
    fake_quantize,
    fake_quantize_derivatives,
    gradient_scale,
    initial_step,
)
from obliq.quantization.precision import activation_range, check_bits
from obliq.quantization.quantized_weight import QuantizedWeight

LARGEST_CHANGE = 0.1
"""Of a learned step in one update, as a share of its value."""


class QuantizedConv1d(QuantizedWeight, nn.Conv1d):
    """`nn.Conv1d` with weights on a learned grid."""

    def compute(
        self,
        input: Float[Tensor, "*batch channels length"],
        weight: Float[Tensor, "outputs group_channels kernel"],
    ) -> Float[Tensor, "*batch outputs out_length"]:
        """Convolve with this weight."""
        result: Tensor = self._conv_forward(input, weight, self.bias)
        return result


class QuantizedConv2d(QuantizedWeight, nn.Conv2d):
    """`nn.Conv2d` with weights on a learned grid, grouped and depthwise forms included."""

    def compute(
        self,
        input: Float[Tensor, "*batch channels height width"],
        weight: Float[Tensor, "outputs group_channels kernel_height kernel_width"],
    ) -> Float[Tensor, "*batch outputs out_height out_width"]:
        """Convolve with this weight."""
        result: Tensor = self._conv_forward(input, weight, self.bias)
        return result


class QuantizedConvTranspose1d(QuantizedWeight, nn.ConvTranspose1d):
    """`nn.ConvTranspose1d` with weights on a learned grid; outputs of different groups share their steps."""

    output_axis: ClassVar[int] = 1

    def compute(
        self,
        input: Float[Tensor, "*batch channels length"],
        weight: Float[Tensor, "channels group_outputs kernel"],
        output_size: Sequence[int] | None = None,
    ) -> Float[Tensor, "*batch outputs out_length"]:
        """Convolve with this weight; `output_size` decides between the lengths that a stride allows."""
        return _transposed(self, nn.functional.conv_transpose1d, input, weight, output_size)


class QuantizedConvTranspose2d(QuantizedWeight, nn.ConvTranspose2d):
    """`nn.ConvTranspose2d` with weights on a learned grid; outputs of different groups share their steps."""

    output_axis: ClassVar[int] = 1

    def compute(
        self,
        input: Float[Tensor, "*batch channels height width"],
        weight: Float[Tensor, "channels group_outputs kernel_height kernel_width"],
        output_size: Sequence[int] | None = None,
    ) -> Float[Tensor, "*batch outputs out_height out_width"]:
        """Convolve with this weight; `output_size` decides between the sizes that a stride allows."""
        return _transposed(self, nn.functional.conv_transpose2d, input, weight, output_size)


def _transposed(
    layer: nn.ConvTranspose1d | nn.ConvTranspose2d,
    function: Callable[..., Tensor],
    input: Tensor,
    weight: Tensor,
    output_size: Sequence[int] | None,
) -> Tensor:
    """What torch's own `forward` computes, with another weight; `function` is that of the layer's dimensions."""
    axes = len(layer.kernel_size)
    wanted = None if output_size is None else list(output_size)
    stride, padding, kernel, gaps = (
        [int(size) for size in sizes]
        for sizes in (layer.stride, layer.padding, layer.kernel_size, layer.dilation)
    )
    added = layer._output_padding(input, wanted, stride, padding, kernel, axes, gaps)
    return function(
        input, weight, layer.bias, layer.stride, layer.padding, added, layer.groups, layer.dilation
    )


class QuantizedLinear(QuantizedWeight, nn.Linear):
    """`nn.Linear` with weights on a learned grid."""

    def compute(
        self, input: Float[Tensor, "*batch features"], weight: Float[Tensor, "outputs features"]
    ) -> Float[Tensor, "*batch outputs"]:
        """Multiply with this weight."""
        return nn.functional.linear(input, weight, self.bias)


class QuantizedActivation(nn.Module):
    """Rounds its input to a learned grid with zero point 0.

    An unsigned grid starts at 0, so it does the work of the ReLU before it, with the same gradient.

    Attributes:
        step: the learned step, without a shape.
        bits: bit width of the codes.
        signed: codes in -2^(bits-1) .. 2^(bits-1)-1, or else in 0 .. 2^bits-1.
        calibrated: a flag stored with the model: whether the step has been set from data.
    """

    step: nn.Parameter
    calibrated: Tensor

    def __init__(self, bits: int, signed: bool) -> None:
        super().__init__()
        check_bits("activation bits", bits)
        self.bits, self.signed = bits, signed
        self.low, self.high = activation_range(bits, signed)
        self.step = nn.Parameter(torch.ones(()))
        self.register_buffer("calibrated", torch.tensor(False))
        # The flag may be on an accelerator, where reading it would stall every forward pass. Once it has been read as
        # set, this remembers it.
        self._known_calibrated = False

    def forward(self, input: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Round to the grid.

        Raises:
            ModelError: when the step has not been set from data yet.
        """
        if not self._known_calibrated:
            self.require_calibrated()
        return fake_quantize(input, self.step, self.low, self.high, self._scale(input))

    def derivatives(
        self, input: Float[Tensor, "*shape"]
    ) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
        """Derivatives of each rounded value by its input and by the step.

        See `obliq.quantization.learned_step.fake_quantize_derivatives`.
        """
        return fake_quantize_derivatives(input, self.step, self.low, self.high, self._scale(input))

    def require_calibrated(self) -> None:
        """Raise unless the step has been set from data.

        Raises:
            ModelError: when it has not.
        """
        if not self.calibrated.item():
            raise ModelError("an activation has no step from data; expected a call of calibrate_steps before")
        self._known_calibrated = True

    def calibrate(self, input: Float[Tensor, "..."]) -> None:
        """Set the step from a batch of inputs.

        Raises:
            ModelError: when the batch is empty or not finite.
        """
        seen = input if self.signed else input.clamp_min(0)
        step = initial_step(seen, self.high)
        if not torch.isfinite(step):
            raise ModelError(
                "the calibration batch is empty or holds NaN or infinity; expected finite activations"
            )
        self.set_step(step)

    def set_step(self, step: Float[Tensor, ""]) -> None:
        """Use this step, and mark the quantizer as calibrated."""
        with torch.no_grad():
            self.step.copy_(step)
            self.calibrated.fill_(True)

    def reset_parameters(self) -> None:
        """Discard the step; the module must be calibrated again."""
        with torch.no_grad():
            self.step.fill_(1.0)
            self.calibrated.fill_(False)
        self._known_calibrated = False

    def _scale(self, input: Tensor) -> float:
        features = input.numel() // input.shape[0] if input.dim() and input.shape[0] else 1
        return gradient_scale(max(1, features), self.high)

    def extra_repr(self) -> str:
        """Bits and sign."""
        return f"bits={self.bits}, signed={self.signed}"

    def _load_from_state_dict(self, *arguments: Any, **options: Any) -> None:
        super()._load_from_state_dict(*arguments, **options)
        self._known_calibrated = False


QUANTIZED: dict[type[nn.Module], type[QuantizedWeight]] = {
    nn.Conv1d: QuantizedConv1d,
    nn.Conv2d: QuantizedConv2d,
    nn.ConvTranspose1d: QuantizedConvTranspose1d,
    nn.ConvTranspose2d: QuantizedConvTranspose2d,
    nn.Linear: QuantizedLinear,
}
"""The float layers that can be quantized, and the class that each becomes."""


def quantizable_layers() -> str:
    """The names of the float layers that can be quantized, for messages."""
    return ", ".join(kind.__name__ for kind in QUANTIZED)


def from_float(layer: nn.Module, bits: int, weight_grid: str = "per_channel") -> QuantizedWeight:
    """A quantized copy of a float layer with equal latent weights.

    Raises:
        ModelError: when the layer is none of `QUANTIZED`.
    """
    kind = QUANTIZED.get(type(layer))
    if kind is None:
        raise ModelError(f"cannot quantize a {type(layer).__name__}; expected one of {quantizable_layers()}")
    # torch's layers keep what their constructor takes under the same names, except for these
    names = inspect.signature(type(layer).__init__).parameters.keys() - {"self", "bias", "device", "dtype"}
    arguments = {name: getattr(layer, name) for name in names}
    # On the meta device the constructor draws no random numbers for weights that are replaced anyway.
    quantized = kind(
        **arguments, bias=layer.bias is not None, bits=bits, weight_grid=weight_grid, device="meta"
    )
    for name, parameter in layer.named_parameters(recurse=False):
        copy = nn.Parameter(parameter.detach().clone(), requires_grad=parameter.requires_grad)
        setattr(quantized, name, copy)
    # A frozen layer keeps its codes and its scale: they belong to the network that the caller passed.
    quantized.weight_step = nn.Parameter(
        quantized.weight.detach().new_empty(quantized.weight_step.shape),
        requires_grad=quantized.weight.requires_grad,
    )
    quantized.reset_step()
    return quantized.train(layer.training)


def weighted_layers(model: nn.Module) -> dict[str, QuantizedWeight]:
    """The quantized convolutions and linear layers of a network by name, in its order."""
    return {name: module for name, module in model.named_modules() if isinstance(module, QuantizedWeight)}


def activations(model: nn.Module) -> dict[str, QuantizedActivation]:
    """The activation quantizers of a network by name, in its order."""
    return {name: module for name, module in model.named_modules() if isinstance(module, QuantizedActivation)}


def learned_steps(model: nn.Module) -> list[nn.Parameter]:
    """Every learned step of a network: of weights first, then of activations."""
    of_weights = [layer.weight_step for layer in weighted_layers(model).values()]
    return of_weights + [quantizer.step for quantizer in activations(model).values()]


def keep_steps_positive_(model: nn.Module | Iterable[Tensor]) -> None:
    """Raise steps that an optimizer has pushed below `SMALLEST_STEP` to that value, in place."""
    learned: list[Tensor] = [*learned_steps(model)] if isinstance(model, nn.Module) else [*model]
    if learned:
        with torch.no_grad():
            torch._foreach_clamp_min_(learned, SMALLEST_STEP)


def keep_steps_near_(learned: Sequence[Tensor], before: Sequence[Tensor]) -> None:
    """Limit the change of each step in one update to `LARGEST_CHANGE` of its value before, in place.

    Steps of many bits are short, and their gradients sum those of all clipped values. On wrong labels a single
    update can be longer than the step itself. A step at `SMALLEST_STEP` lets no signal through any more, and its
    network returns a constant from then on.

    Args:
        learned: the steps, after the update; positive again when this returns.
        before: their values before it.
    """
    if learned:
        with torch.no_grad():
            torch._foreach_maximum_(list(learned), torch._foreach_mul(list(before), 1 - LARGEST_CHANGE))
            torch._foreach_minimum_(list(learned), torch._foreach_mul(list(before), 1 + LARGEST_CHANGE))
            keep_steps_positive_(learned)
