"""The whole way from a trained network to the bytes that are shipped."""

from collections.abc import Sequence

from torch import nn

from obliq.export.onnx_model import to_onnx
from obliq.export.rules import contents_of
from obliq.export.walk import graph_of


def export(model: nn.Module, input_shape: Sequence[int], form: str = "integer") -> bytes:
    """The bytes of an ONNX file; the same network gives the same bytes.

    Args:
        model: quantized with the `deploy` preset and calibrated.
        input_shape: of one sample, channels first.
        form: `integer`, `compact` or `float`; see `to_onnx`.

    Raises:
        ModelError: naming the layer that cannot be exported, or when the extra `onnx` is missing.
    """
    written = to_onnx(graph_of(model, input_shape), form)
    contents_of(written)  # what our own reader would refuse is not shipped
    return written
