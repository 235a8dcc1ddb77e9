"""What runs on the device: the network as integers, as a file, and the proof that they agree."""

from obliq.export.artifact import export, export_executorch
from obliq.export.contents import Contents, Node
from obliq.export.executorch_program import to_executorch
from obliq.export.graph import Graph
from obliq.export.onnx_model import FORMS, to_onnx
from obliq.export.parity import Agreement, CodeAgreement, Parity, check
from obliq.export.record import Record, digest_of
from obliq.export.record import read as read_record
from obliq.export.record import write as write_record
from obliq.export.rounding import deployed, with_integer_biases
from obliq.export.rules import RULES, contents_of, read_onnx
from obliq.export.walk import SUPPORTED, graph_of

__all__ = [
    "FORMS",
    "RULES",
    "SUPPORTED",
    "Agreement",
    "CodeAgreement",
    "Contents",
    "Graph",
    "Node",
    "Parity",
    "Record",
    "check",
    "contents_of",
    "deployed",
    "digest_of",
    "export",
    "export_executorch",
    "graph_of",
    "read_onnx",
    "read_record",
    "to_executorch",
    "to_onnx",
    "with_integer_biases",
    "write_record",
]
