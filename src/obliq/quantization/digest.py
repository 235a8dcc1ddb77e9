"""The digest of a network's content: every code, scale, bit width, name and float value, in no file's format."""

import hashlib
import json
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from obliq.quantization.integer_tensor import IntegerTensor


def state_digest(integers: Mapping[str, IntegerTensor], floats: Mapping[str, Tensor]) -> str:
    """The digest of a network with this integer and float state, as `weights_digest` gives it."""
    digest = hashlib.sha256()
    for label, value, _ in labelled(integers, floats):
        digest.update(label)
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def labelled(
    integers: Mapping[str, IntegerTensor], floats: Mapping[str, Tensor]
) -> Iterator[tuple[bytes, Tensor, int | None]]:
    """Every tensor of a network, in the order in which the digest takes them.

    Yields:
        A line that says what it is and how long, so that nothing can shift; the tensor; and for
        codes their bit width.
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
