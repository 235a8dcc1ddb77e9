"""What runs on the device: the network as integers, as a file, and the proof that they agree."""

from obliq.export.accepting import contents_of, read_onnx
from obliq.export.artifact import export, export_executorch
from obliq.export.contents import Contents, Node
from obliq.export.exact import Exact, exact, exact_if_deployed
from obliq.export.executorch_program import to_executorch
from obliq.export.graph import Graph
from obliq.export.identity import content_digest
from obliq.export.onnx_model import FORMS, to_onnx
from obliq.export.parity import Agreement, CodeAgreement, Parity, check
from obliq.export.reading import graph_in
from obliq.export.record import Record, digest_of
from obliq.export.record import read as read_record
from obliq.export.record import write as write_record
from obliq.export.rounding import deployed, with_integer_biases
from obliq.export.rules import RULES
from obliq.export.running import RUNTIMES, InInterpreter, InOnnxRuntime, running
from obliq.export.shipped import Shipped, open_shipped
from obliq.export.walk import SUPPORTED, graph_of

__all__ = [
    "FORMS",
    "RULES",
    "RUNTIMES",
    "SUPPORTED",
    "Agreement",
    "CodeAgreement",
    "Contents",
    "Exact",
    "Graph",
    "InInterpreter",
    "InOnnxRuntime",
    "Node",
    "Parity",
    "Record",
    "Shipped",
    "check",
    "content_digest",
    "contents_of",
    "deployed",
    "digest_of",
    "exact",
    "exact_if_deployed",
    "export",
    "export_executorch",
    "graph_in",
    "graph_of",
    "open_shipped",
    "read_onnx",
    "read_record",
    "running",
    "to_executorch",
    "to_onnx",
    "with_integer_biases",
    "write_record",
]
