"""ONNX files of our exporter, in one of three forms, run by ONNX Runtime."""

import hashlib
import json
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy import ndarray

from obliq.errors import ModelError
from obliq.exporting.content import content_of_graph, label_line
from obliq.exporting.exported_file import Answer, OwnFile, Probe
from obliq.exporting.graph import Graph
from obliq.exporting.onnx.contents import INPUT, LOGITS, STORED_BITS, Contents
from obliq.exporting.onnx.reader import graph_in, read_onnx, widths
from obliq.exporting.onnx.runtime import onnx_runtime, run_session, session
from obliq.exporting.onnx.writer import FORMS, to_onnx
from obliq.exporting.optional import import_onnx, import_onnxruntime
from obliq.patch import Content, TensorRecord, content_digest
from obliq.patch.content import require_form_of

STORED_LABELS = 2
"""Version of the labels of files without a network's integers."""


class OnnxFile(OwnFile):
    """See `obliq.exporting.onnx.writer` for its forms, and `obliq.exporting.onnx.storage` for what is checked."""

    format: ClassVar[str] = "onnx"
    title: ClassVar[str] = "ONNX"
    suffix: ClassVar[str] = ".onnx"
    own_runtime: ClassVar[str] = "onnxruntime"
    forms: ClassVar[tuple[str, ...]] = FORMS
    read = staticmethod(read_onnx)
    write = staticmethod(to_onnx)

    @staticmethod
    def recognises(data: bytes) -> bool:
        return True  # a file begins with no mark of its own

    @classmethod
    def verify(cls, data: bytes, graph: Graph) -> None:
        cls.read(data)  # what our own reader would refuse is not shipped

    @cached_property
    def graph(self) -> Graph:
        graph = graph_in(self.contents)
        again = read_onnx(to_onnx(graph, self.form))
        if content_digest(stored_content(again)) != content_digest(stored_content(self.contents)):
            raise ModelError("it would not be written again as it is; expected a file of `obliq export`")
        return graph

    @cached_property
    def content(self) -> Content:
        if self.form == "float":
            return stored_content(self.contents)
        return content_of_graph(self.graph, widths(self.contents))

    def content_exported(self, graph: Graph) -> Content:
        if self.form == "float":
            return stored_content(read_onnx(to_onnx(graph, "float")))
        return super().content_exported(graph)

    def with_content(self, content: Content) -> bytes:
        if self.form != "float":
            return super().with_content(content)
        require_form_of(self.content, content, "the file")
        model = import_onnx().load_model_from_string(self.data)
        tensors = sorted(model.graph.initializer, key=lambda tensor: str(tensor.name))
        for tensor, record in zip(tensors, content[1:], strict=True):
            tensor.raw_data = record.stored()
        written: bytes = model.SerializeToString(deterministic=True)
        return written

    @staticmethod
    def require_packages(*, runs: bool) -> None:
        import_onnx()
        if runs:
            import_onnxruntime()

    def start(self) -> tuple[str, Answer]:
        opened = session(self.data, threads=self.threads)
        return onnx_runtime(), lambda batch: run_session(opened, [LOGITS], {INPUT: batch})[0]

    @staticmethod
    def probe(data: bytes, graph: Graph) -> tuple[str, Probe]:
        # the bytes between operations become outputs as well
        onnx = import_onnx()
        model = onnx.load_model_from_string(data)
        results = {name for node in model.graph.node for name in node.output}
        names = [step.name for step in graph.steps if step.name in results]
        for name in names:
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, None))
        running = session(model.SerializeToString(deterministic=True))
        if (shape := tuple(running.get_inputs()[0].shape[1:])) != graph.input_shape:
            raise ModelError(f"the file is for inputs of shape {shape}; expected {graph.input_shape}")

        def probe(batch: ndarray) -> tuple[ndarray, dict[str, ndarray]]:
            logits, *found = run_session(running, [LOGITS, *names], {INPUT: batch})
            zeros = (graph[name].grid.zero_point for name in names)
            codes = (one.astype(np.int32) - zero for one, zero in zip(found, zeros, strict=True))
            return logits, dict(zip(names, codes, strict=True))

        return f"onnxruntime {import_onnxruntime().__version__}", probe


def stored_content(contents: Contents) -> Content:
    """The graph of a file and its constants as they are stored, in the order of names."""
    nodes = [
        [one.operator, one.inputs, one.output, sorted(one.settings.items()), *filter(None, [one.layer])]
        for one in contents.nodes
    ]
    described = json.dumps([contents.opset, contents.input_shape, nodes]).encode()
    label: list[str | int] = ["onnx", STORED_LABELS, hashlib.sha256(described).hexdigest()]
    records = [TensorRecord(label_line(label), None, np.zeros(0, np.uint8))]
    for name, values in sorted(contents.constants.items()):
        kind = contents.kinds[name]
        flat = np.ascontiguousarray(values).reshape(-1)
        bits = STORED_BITS[kind] if values.dtype == np.int8 else None
        words = flat if bits is not None else flat.view(f"<u{flat.itemsize}")
        records.append(TensorRecord(label_line(["constant", name, kind, *values.shape]), bits, words))
    return tuple(records)
