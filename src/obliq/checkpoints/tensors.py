"""Named tensors as bytes: safetensors, with checks of our own before and after those of the library.

A quantized tensor NAME is stored as `codes/NAME` (packed integers, for weights only) and `scale/NAME`; a tensor that
stays in floating point as `float/NAME`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from obliq.errors import ModelError, ObliqError
from obliq.io.document_text import LARGEST_DOCUMENT
from obliq.io.strict_json import parse_json
from obliq.io.visible_text import reason_of
from obliq.quantization import IntegerTensor, activations, pack, packed_size, unpack, weighted_layers

DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}
"""The types of stored tensors, by their names in the format; no others are read."""


@dataclass(frozen=True)
class TensorForm:
    """The type and shape of one stored tensor."""

    dtype: torch.dtype
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{str(self.dtype).removeprefix('torch.')} of shape {self.shape}"

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def tensor_form(tensor: Tensor) -> TensorForm:
    """The type and shape of a tensor."""
    return TensorForm(tensor.dtype, tuple(tensor.shape))


def tensors_to_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """Tensors as safetensors; equal tensors give equal bytes, whatever the order of their names."""
    return bytes(safetensors.torch.save(dict(tensors)))


def tensors_from_bytes(data: bytes, expected: Mapping[str, TensorForm]) -> dict[str, Tensor]:
    """The tensors in safetensors bytes, which must be exactly the expected ones.

    Nothing is allocated until the header is known to describe `expected` and to add up to the length of `data`.

    Raises:
        ObliqError: naming the first tensor that is missing, unknown, of another form, displaced or
            not finite.
    """
    found, length = _header(data)
    if missing := sorted(set(expected) - set(found)):
        raise ObliqError(f"tensor {missing[0]!r} is missing; expected {len(expected)} tensors")
    if unknown := sorted(set(found) - set(expected)):
        raise ObliqError(f"tensor {unknown[0][:200]!r} is unknown; expected {len(expected)} others")
    end = 0
    for name, (form, offsets) in sorted(found.items(), key=lambda item: (item[1][1], item[0])):
        if form != expected[name]:
            raise ObliqError(f"tensor {name!r} is {form}; expected {expected[name]}")
        if offsets != (end, end + form.size):
            raise ObliqError(f"tensor {name!r} lies at bytes {offsets}; expected {(end, end + form.size)}")
        end += form.size
    if len(data) != 8 + length + end:
        raise ObliqError(
            f"{len(data)} bytes; expected {8 + length + end}, so the file is cut off or something follows it"
        )
    try:
        tensors = safetensors.torch.load(data)
    except (SafetensorError, ValueError, RuntimeError) as error:
        raise ObliqError(f"not readable as safetensors: {reason_of(error)}") from error
    for name, form in expected.items():
        tensor = tensors.get(name)
        if tensor is None or tensor_form(tensor) != form:
            raise ObliqError(f"the safetensors library reads tensor {name!r} differently; expected {form}")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ObliqError(f"tensor {name!r} holds NaN or infinity; expected finite numbers")
    return tensors


def _header(data: bytes) -> tuple[dict[str, tuple[TensorForm, tuple[int, int]]], int]:
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(len(data) - 8, LARGEST_DOCUMENT):
        raise ObliqError(f"{len(data)} bytes and a header of {length}; expected a whole safetensors file")
    described = parse_json(data[8 : 8 + length])
    return {name: (_form(name, entry), _offsets(name, entry)) for name, entry in described.items()}, length


def _form(name: str, entry: object) -> TensorForm:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ObliqError(f"tensor {name[:200]!r} has other fields; expected dtype, shape and data_offsets")
    dtype, shape = entry["dtype"], entry["shape"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ObliqError(
            f"tensor {name[:200]!r} has dtype {repr(dtype)[:80]}; expected one of {', '.join(DTYPES)}"
        )
    if not _are_sizes(shape) or len(shape) > 8:
        raise ObliqError(f"tensor {name[:200]!r} has shape {repr(shape)[:80]}; expected at most 8 sizes")
    return TensorForm(DTYPES[dtype], tuple(shape))


def _offsets(name: str, entry: dict[str, object]) -> tuple[int, int]:
    offsets = entry["data_offsets"]
    if not isinstance(offsets, list) or not _are_sizes(offsets) or len(offsets) != 2:
        raise ObliqError(f"tensor {name[:200]!r} has offsets {repr(offsets)[:80]}; expected two positions")
    return offsets[0], offsets[1]


def _are_sizes(values: object) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**48 for value in values)


@dataclass(frozen=True)
class TensorGrid:
    """How the codes of one quantized tensor are read.

    Attributes:
        bits: bit width of the codes.
        shape: of the codes; None for an activation, which has no stored codes.
        channel_axis: the axis that the scales run along, None for a single scale.
        signed: whether codes can be negative.
        zero_point: the code of zero.
    """

    bits: int
    shape: tuple[int, ...] | None
    channel_axis: int | None
    signed: bool
    zero_point: int


def tensor_grids(model: nn.Module) -> dict[str, TensorGrid]:
    """The grid of every quantized tensor, named as in the integer view; needs no values."""
    of_weights = {
        f"{name}.weight": TensorGrid(layer.bits, tuple(layer.weight.shape), layer.channel_axis, True, 0)
        for name, layer in weighted_layers(model).items()
    }
    of_activations = {
        name: TensorGrid(quantizer.bits, None, None, quantizer.signed, 0)
        for name, quantizer in activations(model).items()
    }
    return of_weights | of_activations


def tensor_forms(model: nn.Module) -> dict[str, TensorForm]:
    """The name, type and shape of every stored tensor of a network; needs no values."""
    stored: dict[str, TensorForm] = {}
    in_integers: set[str] = set()
    for name, grid in tensor_grids(model).items():
        scales = () if grid.shape is None or grid.channel_axis is None else (grid.shape[grid.channel_axis],)
        stored[f"scale/{name}"] = TensorForm(torch.float32, scales)
        if grid.shape is None:
            in_integers |= {f"{name}.step", f"{name}.calibrated"}
        else:
            stored[f"codes/{name}"] = TensorForm(
                torch.uint8, (packed_size(math.prod(grid.shape), grid.bits),)
            )
            in_integers |= {name, f"{name}_step"}
    for name, value in model.state_dict().items():
        if name not in in_integers:
            stored[f"float/{name}"] = tensor_form(value)
    return stored


def latent_tensor_forms(model: nn.Module) -> dict[str, TensorForm]:
    """The name, type and shape of every latent weight."""
    return {f"{name}.weight": tensor_form(layer.weight) for name, layer in weighted_layers(model).items()}


def state_to_tensors(
    integers: Mapping[str, IntegerTensor], floats: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The integer view of a network as the tensors that are stored."""
    stored = {f"float/{name}": value for name, value in floats.items()}
    for name, tensor in integers.items():
        stored[f"scale/{name}"] = tensor.scale
        if tensor.codes is not None:
            stored[f"codes/{name}"] = pack(tensor.codes, tensor.bits)
    return stored


def state_from_tensors(
    stored: Mapping[str, Tensor], table: Mapping[str, TensorGrid]
) -> tuple[dict[str, IntegerTensor], dict[str, Tensor]]:
    """The integer view in stored tensors that have the `forms` of their network.

    Raises:
        ModelError: naming a tensor whose codes or scales are not valid.
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
