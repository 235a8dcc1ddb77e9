"""What an exported network computes, in NumPy: slow, obvious, and what every runtime is held against.

Sums of products are exact integers, and each operation of `obliq.exporting.operations` states how it rounds.
"""

import numpy as np
from jaxtyping import Float32, Int32
from numpy import ndarray

from obliq.errors import ModelError
from obliq.exporting.graph import Graph


def run(graph: Graph, inputs: Float32[ndarray, "samples ..."]) -> dict[str, Int32[ndarray, "samples ..."]]:
    """Every activation's codes by the name of its step, in the order of computation.

    Args:
        graph: as `graph_of` builds it.
        inputs: float32, (samples, *input_shape).

    Returns:
        int32 codes; `logits` turns the last ones into real numbers.

    Raises:
        ModelError: when the inputs do not have the shape that the graph is for.
    """
    if tuple(inputs.shape[1:]) != graph.input_shape:
        raise ModelError(f"inputs of shape {inputs.shape[1:]}; expected {graph.input_shape}")
    codes: dict[str, ndarray] = {}
    for step in graph.steps:
        read = [codes[name] for name in step.sources] or [inputs]
        codes[step.name] = step.in_numpy(read, [graph[name].grid for name in step.sources])
    return codes


def logits(
    graph: Graph, codes: dict[str, Int32[ndarray, "samples ..."]]
) -> Float32[ndarray, "samples classes"]:
    """The float32 logits that the last codes stand for."""
    last = graph.result
    return codes[last.name].astype(np.float32) * np.float32(last.grid.scale)
