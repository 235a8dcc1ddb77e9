"""The whole way from a trained network to the bytes that are shipped."""

from collections.abc import Sequence

import numpy as np
from torch import nn

from obliq.errors import ModelError
from obliq.export import interpreter
from obliq.export.accepting import contents_of
from obliq.export.executorch_program import held, to_executorch
from obliq.export.executorch_reading import first_difference, graph_in_program
from obliq.export.onnx_model import to_onnx
from obliq.export.probes import probe
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


def export_executorch(model: nn.Module, input_shape: Sequence[int]) -> bytes:
    """The bytes of an ExecuTorch program that runs in XNNPACK; it was read back and has answered like the interpreter.

    Args:
        model: quantized with the `deploy` preset and calibrated.
        input_shape: of one sample, channels first.

    Raises:
        ModelError: naming what cannot be exported, when the extra `executorch` is missing, or when the
            program holds other integers than the network or its answers for two random samples are off by
            more than a step on average.
    """
    graph = graph_of(model, input_shape)
    written = to_executorch(graph)
    if (path := first_difference(graph_in_program(written), held(graph))) is not None:
        raise ModelError(
            f"ExecuTorch has stored other numbers for {path}; expected those of the integer graph"
        )
    samples = np.random.default_rng(0).standard_normal((2, *input_shape)).astype(np.float32)
    _, found = probe(written, graph)(samples)
    last = graph.result.name
    apart = np.abs(found[last].reshape(2, -1) - interpreter.run(graph, samples)[last].reshape(2, -1)).mean()
    if apart > 1:
        raise ModelError(f"XNNPACK's answers are {apart:.3g} steps off; expected those of the integer graph")
    return written
