"""What runs on the device: the network as integers, as an ONNX file, and the proof that they agree."""

from obliq.export.artifact import export
from obliq.export.graph import Graph
from obliq.export.onnx_model import FORMS, to_onnx
from obliq.export.parity import Agreement, CodeAgreement, Parity, check
from obliq.export.record import Record, digest_of
from obliq.export.record import read as read_record
from obliq.export.record import write as write_record
from obliq.export.rounding import deployed, with_integer_biases
from obliq.export.walk import SUPPORTED, graph_of

__all__ = [
    "FORMS",
    "SUPPORTED",
    "Agreement",
    "CodeAgreement",
    "Graph",
    "Parity",
    "Record",
    "check",
    "deployed",
    "digest_of",
    "export",
    "graph_of",
    "read_record",
    "to_onnx",
    "with_integer_biases",
    "write_record",
]
