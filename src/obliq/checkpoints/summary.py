"""What is in a saved network: its tensors with their bits and sizes, its digest and its history."""

from dataclasses import dataclass
from typing import Any

from obliq.checkpoints import Checkpoint
from obliq.io.strict_json import encode
from obliq.quantization import float_state, integer_state, packed_size, state_digest


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
        bytes: what they and their scales take when packed.
        float_bytes: what the same values take as float32 without quantization.
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


def summarize_checkpoint(saved: Checkpoint) -> CheckpointSummary:
    """Take stock of a network.

    Raises:
        ModelError: when it is not calibrated or not finite.
    """
    integers, floats = integer_state(saved.model), float_state(saved.model)
    rows, code_bytes = [], 0
    for name, tensor in integers.items():
        shape = () if tensor.codes is None else tuple(tensor.codes.shape)
        elements = 0 if tensor.codes is None else tensor.codes.numel()
        scales = tensor.scale.numel()
        code_bytes += packed_size(elements, tensor.bits)
        rows.append(
            TensorSummary(
                name=name, kind="activation" if tensor.codes is None else "weight", shape=shape,
                bits=tensor.bits, signed=tensor.signed, scales=scales, elements=elements,
                bytes=packed_size(elements, tensor.bits) + 4 * scales, float_bytes=4 * elements,
            )
        )  # fmt: skip
    for name, value in floats.items():
        rows.append(
            TensorSummary(
                name=name, kind="float", shape=tuple(value.shape), bits=8 * value.element_size(),
                signed=True, scales=0, elements=value.numel(), bytes=value.nbytes, float_bytes=value.nbytes,
            )
        )  # fmt: skip
    scale_bytes = 4 * sum(row.scales for row in rows)
    float_bytes = sum(row.bytes for row in rows if row.kind == "float")
    return CheckpointSummary(
        blueprint=encode(saved.blueprint), provenance=encode(saved.provenance),
        weights_digest=state_digest(integers, floats), rows=tuple(rows),
        parameters=sum(row.elements for row in rows), code_bytes=code_bytes, scale_bytes=scale_bytes,
        float_bytes=float_bytes, total_bytes=code_bytes + scale_bytes + float_bytes,
        unquantized_bytes=sum(row.float_bytes for row in rows),
    )  # fmt: skip
