"""What layers with rounded weights share: latent weights, their learned step, and their bits."""

from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from obliq.errors import ModelError
from obliq.quantization.learned_step import (
    fake_quantize,
    fake_quantize_derivatives,
    gradient_scale,
    initial_step,
)
from obliq.quantization.precision import check_bits, weight_range

WEIGHT_GRIDS = ("per_channel", "per_tensor")


class QuantizedWeight(nn.Module):
    """What every quantized layer has in common: a latent float weight, its learned step and its bits.

    A layer type is a class of two bases, this one first and torch's float layer second. It only defines `compute`.

    Attributes:
        weight: latent float weights.
        weight_step: the learned step, one per output, or a single one without a shape.
        bits: bit width of the codes, which lie in -(2^(bits-1)-1) .. 2^(bits-1)-1.
    """

    weight: Tensor
    weight_step: nn.Parameter
    bits: int

    output_axis: ClassVar[int] = 0
    """The axis of the weight that counts the outputs."""

    def __init__(self, *arguments: Any, bits: int, weight_grid: str = "per_channel", **options: Any) -> None:
        super().__init__(*arguments, **options)
        check_bits("weight bits", bits)
        check_weight_grid(weight_grid)
        self.bits = bits
        outputs = self.weight.shape[self.output_axis]
        shape = (outputs,) if weight_grid == "per_channel" else ()
        self.weight_step = nn.Parameter(self.weight.new_empty(shape))
        self.reset_step()

    def compute(self, input: Tensor, weight: Tensor) -> Tensor:
        """The output of the float layer with this weight in place of its own."""
        raise NotImplementedError

    def forward(self, input: Tensor, *arguments: Any, **named: Any) -> Tensor:
        """The output with the rounded weights."""
        return self.compute(input, self.quantized_weight(), *arguments, **named)

    @property
    def channel_axis(self) -> int | None:
        """The axis of the weight that the steps run along; None for a single step."""
        return self.output_axis if self.weight_step.dim() == 1 else None

    def quantized_weight(self) -> Float[Tensor, "outputs ..."]:
        """The weights as the network uses them: whole multiples of the step."""
        return fake_quantize(self.weight, self.weight_step, *self._grid())

    def derivatives(self) -> tuple[Float[Tensor, "outputs ..."], Float[Tensor, "outputs ..."]]:
        """Derivatives of each quantized weight by its latent weight and by its step.

        See `obliq.quantization.learned_step.fake_quantize_derivatives`.
        """
        return fake_quantize_derivatives(self.weight, self.weight_step, *self._grid())

    def reset_step(self) -> None:
        """Derive the step from the weights, as before the first training step."""
        _, high = weight_range(self.bits)
        with torch.no_grad():
            self.weight_step.copy_(initial_step(self.weight, high, self.channel_axis))

    def reset_parameters(self) -> None:
        """Draw new weights as the float layer does and derive their step."""
        super().reset_parameters()  # type: ignore[misc]
        if hasattr(self, "weight_step"):  # the float constructor calls this before the step exists
            self.reset_step()

    def extra_repr(self) -> str:
        """Add the bit width and the grid to the float layer's description."""
        grid = WEIGHT_GRIDS[1 if self.channel_axis is None else 0]
        return f"{super().extra_repr()}, bits={self.bits}, weight_grid={grid}"

    def _grid(self) -> tuple[int, int, float, int | None]:
        low, high = weight_range(self.bits)
        elements = self.weight.numel() // self.weight_step.numel()
        return low, high, gradient_scale(elements, high), self.channel_axis


def check_weight_grid(weight_grid: str) -> None:
    """Raise unless the name of a weight grid is known.

    Raises:
        ModelError: for anything but `per_channel` and `per_tensor`.
    """
    if weight_grid not in WEIGHT_GRIDS:
        raise ModelError(f"weight grid is {weight_grid!r}; expected {' or '.join(WEIGHT_GRIDS)}")
