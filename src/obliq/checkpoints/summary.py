"""What is in a saved network: its tensors with their bits and sizes, its digest and its history."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from obliq.checkpoints import Checkpoint
from obliq.io.strict_json import encode
from obliq.quantization import IntegerTensor, float_state, integer_state, packed_size, state_digest

_FLOAT_BYTES = 4
"""Bytes of a scale, and of a value that is not quantized (float32)."""


@dataclass(frozen=True, kw_only=True)
class TensorSummary:
    """One tensor.

    Attributes:
        name: as in the integer view, or in the float state.
        kind: `weight` (integer codes), `activation` (a step, no stored values) or `float`.
        shape: of the tensor; empty for activations.
        bits: bit width of one element.
        signed: whether elements can be negative.
        scales: the number of steps.
        elements: the number of stored values.
        bytes: size of the values and their scales when packed.
        float_bytes: size of the same values as float32 without quantization.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    bits: int
    signed: bool
    scales: int
    elements: int
    bytes: int
    float_bytes: int


@dataclass(frozen=True, kw_only=True)
class CheckpointSummary:
    """A network on one page; `as_json` gives plain values.

    Attributes:
        blueprint: the form, as plain values.
        provenance: the history, as plain values.
        weights_digest: SHA-256 over the content, whatever the file format.
        rows: weights and activations by name, then float tensors by name.
        parameters: stored values that are weights, biases or batch norm.
        code_bytes: of packed codes, without scales.
        scale_bytes: of all scales.
        float_bytes: of the tensors that stay in floating point.
        total_bytes: the sum of the three.
        unquantized_bytes: the same network in float32.
    """

    blueprint: dict[str, Any]
    provenance: dict[str, Any]
    weights_digest: str
    rows: tuple[TensorSummary, ...]
    parameters: int
    code_bytes: int
    scale_bytes: int
    float_bytes: int
    total_bytes: int
    unquantized_bytes: int

    def as_json(self) -> dict[str, Any]:
        """Plain values that `json` can write."""
        values: dict[str, Any] = encode(self)
        return values


def summarise_checkpoint(checkpoint: Checkpoint) -> CheckpointSummary:
    """List the tensors of a network, and add up their sizes.

    Raises:
        ModelError: when the network is not calibrated or not finite.
    """
    integers, floats = integer_state(checkpoint.model), float_state(checkpoint.model)
    rows = [_quantized_row(name, tensor) for name, tensor in integers.items()]
    rows += [_float_row(name, value) for name, value in floats.items()]
    scale_bytes = _FLOAT_BYTES * sum(row.scales for row in rows)
    float_bytes = sum(row.bytes for row in rows if row.kind == "float")
    total_bytes = sum(row.bytes for row in rows)
    return CheckpointSummary(
        blueprint=encode(checkpoint.blueprint),
        provenance=encode(checkpoint.provenance),
        weights_digest=state_digest(integers, floats),
        rows=tuple(rows),
        parameters=sum(row.elements for row in rows),
        code_bytes=total_bytes - scale_bytes - float_bytes,
        scale_bytes=scale_bytes,
        float_bytes=float_bytes,
        total_bytes=total_bytes,
        unquantized_bytes=sum(row.float_bytes for row in rows),
    )


def _quantized_row(name: str, tensor: IntegerTensor) -> TensorSummary:
    elements = 0 if tensor.codes is None else tensor.codes.numel()
    scales = tensor.scale.numel()
    return TensorSummary(
        name=name,
        kind="activation" if tensor.codes is None else "weight",
        shape=() if tensor.codes is None else tuple(tensor.codes.shape),
        bits=tensor.bits,
        signed=tensor.signed,
        scales=scales,
        elements=elements,
        bytes=packed_size(elements, tensor.bits) + _FLOAT_BYTES * scales,
        float_bytes=_FLOAT_BYTES * elements,
    )


def _float_row(name: str, value: Tensor) -> TensorSummary:
    return TensorSummary(
        name=name,
        kind="float",
        shape=tuple(value.shape),
        bits=8 * value.element_size(),
        signed=True,
        scales=0,
        elements=value.numel(),
        bytes=value.nbytes,
        float_bytes=value.nbytes,
    )
