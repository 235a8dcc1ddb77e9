"""What runs on the device: the network as integers, as a file, and the proof that they agree."""

from obliq.exporting.device_biases import deployed, with_integer_biases
from obliq.exporting.executorch.writer import to_executorch
from obliq.exporting.exported_file import ExportedFile, OwnFile, sha256_of
from obliq.exporting.files import (
    FORMATS,
    SUFFIXES,
    digest_stated_in,
    export_file,
    format_named,
    open_exported,
    own_file,
    parse_exported,
    patch_file,
    read_exported,
)
from obliq.exporting.from_network import SUPPORTED, graph_of
from obliq.exporting.graph import Graph
from obliq.exporting.onnx.reader import graph_in, share_of_changed_codes
from obliq.exporting.onnx.writer import FORMS, to_onnx
from obliq.exporting.parity import Agreement, CodeAgreement, Parity, check
from obliq.exporting.parity_record import ParityRecord, read_parity_record, record_parity, write_parity_record
from obliq.exporting.torch_interpreter import Exact, exact, exact_if_deployed

__all__ = [
    "FORMATS",
    "FORMS",
    "SUFFIXES",
    "SUPPORTED",
    "Agreement",
    "CodeAgreement",
    "Exact",
    "ExportedFile",
    "Graph",
    "OwnFile",
    "Parity",
    "ParityRecord",
    "check",
    "deployed",
    "digest_stated_in",
    "exact",
    "exact_if_deployed",
    "export_file",
    "format_named",
    "graph_in",
    "graph_of",
    "open_exported",
    "own_file",
    "parse_exported",
    "patch_file",
    "read_exported",
    "read_parity_record",
    "record_parity",
    "sha256_of",
    "share_of_changed_codes",
    "to_executorch",
    "to_onnx",
    "with_integer_biases",
    "write_parity_record",
]
