"""What runs on the device: the network as integers, as an ONNX file, and the proof that they agree."""

from obliq.export.artifact import export
from obliq.export.graph import Graph
from obliq.export.onnx_model import FORMS, to_onnx
from obliq.export.parity import Agreement, Parity, check
from obliq.export.rounding import with_integer_biases
from obliq.export.walk import SUPPORTED, graph_of

__all__ = [
    "FORMS",
    "SUPPORTED",
    "Agreement",
    "Graph",
    "Parity",
    "check",
    "export",
    "graph_of",
    "to_onnx",
    "with_integer_biases",
]
