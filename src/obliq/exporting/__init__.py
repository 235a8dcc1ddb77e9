"""What runs on the device: the network as integers, as a file, and the proof that they agree."""

from obliq.exporting.device_biases import deployed, with_integer_biases
from obliq.exporting.executorch.writer import to_executorch
from obliq.exporting.exported_file import Shipped, export_executorch, export_onnx, open_shipped
from obliq.exporting.file_content import file_content_digest
from obliq.exporting.from_network import SUPPORTED, graph_of
from obliq.exporting.graph import Graph
from obliq.exporting.onnx.contents import Contents, OnnxNode
from obliq.exporting.onnx.reader import contents_of, graph_in, read_onnx
from obliq.exporting.onnx.storage import RULES
from obliq.exporting.onnx.writer import FORMS, to_onnx
from obliq.exporting.parity import Agreement, CodeAgreement, Parity, check
from obliq.exporting.parity_record import ParityRecord, read_parity_record, sha256_of, write_parity_record
from obliq.exporting.runtimes import RUNTIMES, InInterpreter, InOnnxRuntime, running
from obliq.exporting.torch_interpreter import Exact, exact, exact_if_deployed

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
    "OnnxNode",
    "Parity",
    "ParityRecord",
    "Shipped",
    "check",
    "contents_of",
    "deployed",
    "exact",
    "exact_if_deployed",
    "export_executorch",
    "export_onnx",
    "file_content_digest",
    "graph_in",
    "graph_of",
    "open_shipped",
    "read_onnx",
    "read_parity_record",
    "running",
    "sha256_of",
    "to_executorch",
    "to_onnx",
    "with_integer_biases",
    "write_parity_record",
]
