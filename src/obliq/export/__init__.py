"""What runs on the device: the network as integers, as a file, and the proof that they agree."""

from obliq.export.device_biases import deployed, with_integer_biases
from obliq.export.executorch.writer import to_executorch
from obliq.export.exported_file import Shipped, export, export_executorch, open_shipped
from obliq.export.file_content import content_digest
from obliq.export.from_network import SUPPORTED, graph_of
from obliq.export.graph import Graph
from obliq.export.onnx.check_operators import RULES
from obliq.export.onnx.contents import Contents, Node
from obliq.export.onnx.reader import contents_of, graph_in, read_onnx
from obliq.export.onnx.writer import FORMS, to_onnx
from obliq.export.parity import Agreement, CodeAgreement, Parity, check
from obliq.export.parity_record import Record, digest_of
from obliq.export.parity_record import read as read_record
from obliq.export.parity_record import write as write_record
from obliq.export.runtimes import RUNTIMES, InInterpreter, InOnnxRuntime, running
from obliq.export.torch_interpreter import Exact, exact, exact_if_deployed

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
