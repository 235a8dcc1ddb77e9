"""Which tensors a stored network consists of, and its integer view as those tensors and back."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from obliq.checkpoints.tensors import Form, form_of
from obliq.errors import ModelError, ObliqError
from obliq.quantization import IntegerTensor, activations, pack, packed_size, unpack, weighted_layers


@dataclass(frozen=True)
class Grid:
    """How one quantized tensor is to be read.

    Attributes:
        bits: bit width of the codes.
        shape: of the codes; None for an activation, which has none.
        channel_axis: the axis that the scales run along, None for a single scale.
        signed: whether codes can be negative.
        zero_point: the code of zero.
    """

    bits: int
    shape: tuple[int, ...] | None
    channel_axis: int | None
    signed: bool
    zero_point: int

    @property
    def elements(self) -> int:
        """The number of codes."""
        return 0 if self.shape is None else torch.Size(self.shape).numel()


def grids(model: nn.Module) -> dict[str, Grid]:
    """The grid of every quantized tensor, named as in the integer view; needs no values."""
    of_weights = {
        f"{name}.weight": Grid(layer.bits, tuple(layer.weight.shape), layer.channel_axis, True, 0)
        for name, layer in weighted_layers(model).items()
    }
    of_activations = {
        name: Grid(quantizer.bits, None, None, quantizer.signed, 0)
        for name, quantizer in activations(model).items()
    }
    return of_weights | of_activations


def forms(model: nn.Module) -> dict[str, Form]:
    """The name, type and shape of every stored tensor of a network; needs no values."""
    stored: dict[str, Form] = {}
    in_integers: set[str] = set()
    for name, grid in grids(model).items():
        scales = () if grid.shape is None or grid.channel_axis is None else (grid.shape[grid.channel_axis],)
        stored[f"scale/{name}"] = Form(torch.float32, scales)
        if grid.shape is None:
            in_integers |= {f"{name}.step", f"{name}.calibrated"}
        else:
            stored[f"codes/{name}"] = Form(torch.uint8, (packed_size(grid.elements, grid.bits),))
            in_integers |= {name, f"{name}_step"}
    for name, value in model.state_dict().items():
        if name not in in_integers:
            stored[f"float/{name}"] = form_of(value)
    return stored


def latent_forms(model: nn.Module) -> dict[str, Form]:
    """The name, type and shape of every latent weight."""
    return {f"{name}.weight": form_of(layer.weight) for name, layer in weighted_layers(model).items()}


def to_tensors(integers: Mapping[str, IntegerTensor], floats: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The integer view of a network as the tensors that are stored."""
    stored = {f"float/{name}": value for name, value in floats.items()}
    for name, tensor in integers.items():
        stored[f"scale/{name}"] = tensor.scale
        if tensor.codes is not None:
            stored[f"codes/{name}"] = pack(tensor.codes, tensor.bits)
    return stored


def from_tensors(
    stored: Mapping[str, Tensor], table: Mapping[str, Grid]
) -> tuple[dict[str, IntegerTensor], dict[str, Tensor]]:
    """The integer view in stored tensors that have the `forms` of their network.

    Raises:
        ModelError: naming a tensor whose codes or scales cannot be.
    """
    integers: dict[str, IntegerTensor] = {}
    for name, grid in table.items():
        try:
            codes = None if grid.shape is None else unpack(stored[f"codes/{name}"], grid.bits, grid.shape)
            integers[name] = IntegerTensor(
                codes, stored[f"scale/{name}"], grid.zero_point, grid.bits, grid.channel_axis, grid.signed
            )
        except ObliqError as error:
            raise ModelError(f"tensor {name!r}: {error}") from error
    floats = {
        name.removeprefix("float/"): value for name, value in stored.items() if name.startswith("float/")
    }
    return integers, floats
