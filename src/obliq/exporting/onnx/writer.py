"""A graph of integer steps as an ONNX file, in one of three forms.

Every activation is stored as an unsigned byte, signed ones with zero point 128: ONNX Runtime's
kernel for additions takes one type on both sides, and those for x86 want unsigned activations.
After rounding to a byte, activations of fewer bits are clamped as bytes; without that a 4-bit
activation would saturate at 255 instead of 15, and no runtime would notice.
"""

from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy import ndarray

from obliq.data.input_contract import InputContract
from obliq.errors import ModelError
from obliq.exporting.graph import Graph
from obliq.exporting.onnx.contents import INPUT, LOGITS
from obliq.exporting.onnx.parse import METADATA
from obliq.exporting.operations import Layer, LookupTable, Step
from obliq.exporting.optional import import_onnx
from obliq.io.visible_text import reason_of
from obliq.quantization import pack

FORMS = ("integer", "compact", "float")
_OPSETS = {8: 13, 4: 21, 2: 25}
"""ONNX operator set by the width of the narrowest stored weight: 13 brings scales by channel, 21
four-bit and 25 two-bit tensors. The oldest possible one opens in most runtimes."""


def to_onnx(graph: Graph, form: str = "integer", inputs: InputContract | None = None) -> bytes:
    """The bytes of a single-file ONNX model with a free batch size; equal graphs give equal bytes.

    Args:
        graph: as `graph_of` makes it.
        form: `integer`: bytes everywhere, which ONNX Runtime fuses into integer kernels; `compact`: the
            same computation with weights stored in 4 or 2 bits, which ONNX Runtime widens to bytes when it
            opens the file and then fuses as well, the same file where no layer has so few; `float`: float32
            weights and biases, activations clamped to their learned ranges but not rounded.
        inputs: how stored values become inputs; it goes into the metadata, which no runtime computes with.

    Raises:
        ModelError: for another form, or when the extra `onnx` is not installed.
    """
    if form not in FORMS:
        raise ModelError(f"form is {form!r}; expected {', '.join(FORMS)}")
    onnx = import_onnx()
    writer = _Writer(onnx, graph, form)
    for step in graph.steps:
        writer.write(step)
    return writer.finished(inputs)


class _Writer:
    """Gathers nodes and constants.

    Codes carry the names of steps, weights those of layers. All else is called by its step's number and a letter,
    since a file of a small network consists of names to a good part; a number comes first, as it does in no name of a
    step. `y` is what a step adds up, `q` its result before a clamp, `r` its codes as real numbers, `s` their scale, `l`
    and `h` the bounds of a clamp; `w` and `b` are the real weight and bias of a layer, `k` and `z` scales and zero
    points of its codes, `a` and `u` codes and unit of its bias; `p` are stored codes of packed files, `c`, `f` and `i`
    those on the way to bytes; `t` and `v` are a table and its real values, `g` the bytes that choose among them, `n`
    places or sizes. Bytes that many steps share are called `=128`, factors `*16`.

    A packed file, one with codes of fewer than 8 bits, has less in it still: the layer's name stands once, at the
    node that adds up, and not at its weights; the unit of a bias is multiplied from the two scales and not stored.
    """

    def __init__(self, onnx: ModuleType, graph: Graph, form: str) -> None:
        self.onnx, self.graph, self.form = onnx, graph, form
        self.number = {step.name: index for index, step in enumerate(graph.steps)}
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}
        self.read: set[str] = set()
        widths = {self._width(step) for step in graph.layers}
        self.narrowest = min(widths, default=8)
        self.packed = self.narrowest < 8

    def write(self, step: Step) -> None:
        """Add one step."""
        if step.moves and self.form != "float":  # bytes are moved, not computed with
            self._node(*step.onnx_node(), [step.sources[0], *self._numbers(step)], step.name)
            return
        computed = INPUT
        if step.sources:
            computed = self._short("y", step.name)
            inputs = (
                self._table(step)
                if isinstance(step, LookupTable)
                else [self._real(name) for name in step.sources]
            )
            inputs += self._numbers(step)
            named = ""
            if isinstance(step, Layer):
                inputs += self._weights(step)
                named = step.path if self.packed else ""
            self._node(*step.onnx_node(), inputs, computed, named)
        if self.form == "float":
            self._clamped(step, computed)
        else:
            self._rounded(step, computed)

    def finished(self, inputs: InputContract | None) -> bytes:
        """The whole file."""
        helper, types = self.onnx.helper, self.onnx.TensorProto
        self._real(self.graph.result.name)
        self.nodes[-1].output[0] = LOGITS
        opset = helper.make_opsetid("", 17 if self.form == "float" else _OPSETS[self.narrowest])
        ends = (
            helper.make_tensor_value_info(INPUT, types.FLOAT, ["batch", *self.graph.input_shape]),
            helper.make_tensor_value_info(LOGITS, types.FLOAT, ["batch", "classes"]),
        )
        body = helper.make_graph(self.nodes, "network", [ends[0]], [ends[1]], [*self.constants.values()])
        version = helper.find_min_ir_version_for([opset])
        model = helper.make_model(body, producer_name="obliq", opset_imports=[opset], ir_version=version)
        if inputs is not None:
            helper.set_model_props(model, {METADATA: inputs.to_text()})
        try:
            self.onnx.checker.check_model(model)
        except self.onnx.checker.ValidationError as error:  # of a graph whose sizes do not fit together
            raise ModelError(f"no ONNX model: {reason_of(error)}; expected one") from error
        written: bytes = model.SerializeToString(deterministic=True)
        return written

    def _rounded(self, step: Step, computed: str) -> None:
        """Round to bytes, and clamp those that have fewer codes."""
        grid = step.grid
        byte = step.name if grid.fills_container else self._short("q", step.name)
        self._node("QuantizeLinear", {}, [computed, *self._scale(step.name)], byte)
        if not grid.fills_container:
            bounds = [self._byte(code + grid.zero_point) for code in (grid.low, grid.high)]
            self._node("Clip", {}, [byte, *bounds], step.name)

    def _clamped(self, step: Step, computed: str) -> None:
        """What is left of rounding without the rounding: the learned range, which trained networks rely on."""
        real = self._short("r", step.name)
        self.read.add(real)
        if step.moves:
            self._node("Identity", {}, [computed], real)
            return
        bounds = [
            self._constant(self._short(end, step.name), np.array(code * step.grid.scale, np.float32))
            for end, code in (("l", step.grid.low), ("h", step.grid.high))
        ]
        self._node("Clip", {}, [computed, *bounds], real)

    def _real(self, name: str) -> str:
        """The real values of a step's codes, computed once."""
        real = self._short("r", name)
        if real not in self.read:
            self.read.add(real)
            self._node("DequantizeLinear", {}, [name, *self._scale(name)], real)
        return real

    def _scale(self, name: str) -> list[str]:
        grid = self.graph[name].grid
        stored = self._short("s", self.graph.owner(name).name)
        return [self._constant(stored, np.array(grid.scale, np.float32)), self._byte(grid.zero_point)]

    def _byte(self, value: int) -> str:
        return self._constant(f"={value}", np.array(value, np.uint8))

    def _numbers(self, step: Step) -> list[str]:
        """The constant whole numbers that a step's operator reads."""
        numbers = np.array(step.onnx_numbers(), np.int64)
        return [self._constant(self._short("n", step.name), numbers)] if numbers.size else []

    def _table(self, step: LookupTable) -> list[str]:
        """The real values of a table, and the bytes that choose among them as places in it."""
        if self.form == "float":
            raise ModelError(
                f"{step.path} is computed by a table of codes, which the form float does not have; expected the form "
                "integer or compact"
            )
        values, places = self._short("v", step.name), self._short("g", step.name)
        stored = self._constant(self._short("t", step.name), step.table)
        self._node("DequantizeLinear", {}, [stored, *self._scale(step.name)], values)
        self._node("Cast", {"to": self.onnx.TensorProto.INT32}, [step.sources[0]], places)
        return [values, places]

    def _weights(self, step: Layer) -> list[str]:
        """The weight and the bias as real numbers, from codes and scales unless the form is `float`."""
        path, weights = step.path, step.weights
        if self.form == "float":
            scale = weights.scale.reshape(-1, *(1,) * (weights.codes.ndim - 1))
            return [
                self._constant(f"{path}.weight", weights.codes * scale),
                self._constant(f"{path}.bias", weights.real_bias.astype(np.float32)),
            ]
        codes = self._codes(step)
        scale_of_weights = self._constant(self._short("k", step.name), weights.wide_scale())
        read = [codes, scale_of_weights]
        if step.zeros_in_onnx:
            zeros = np.zeros(len(weights.codes), np.int8)
            read.append(self._constant(self._short("z", step.name), zeros))
        bias_codes = self._constant(self._short("a", step.name), weights.bias)
        bias = [bias_codes, self._unit(step, scale_of_weights)]
        real = [self._short("w", step.name), self._short("b", step.name)]
        for name, inputs in zip(real, (read, bias), strict=True):
            self._node("DequantizeLinear", {"axis": 0}, inputs, name)
        return real

    def _unit(self, step: Layer, scale_of_weights: str) -> str:
        """The unit of a bias, the product of what it is added to; one that runtimes multiply once, if packed."""
        unit = self._short("u", step.name)
        if not self.packed:
            return self._constant(unit, step.weights.bias_scale(self.graph[step.sources[0]].grid))
        self._node("Mul", {}, [scale_of_weights, self._scale(step.sources[0])[0]], unit)
        return unit

    def _codes(self, step: Layer) -> str:
        """The codes of a layer as bytes on the finer grid.

        Narrow ones pass through nodes that read constants alone, so that runtimes compute them once.
        """
        types, weights, width = self.onnx.TensorProto, step.weights, self._width(step)
        stored = self._short("p", step.name) if self.packed else f"{step.path}.weight"
        if width == 8:
            return self._constant(stored, weights.wide_codes())
        wide, finer, bytes_ = (self._short(kind, step.name) for kind in "cfi")
        codes = self._constant(stored, weights.codes, width)
        if weights.refinement > 1:  # ONNX Runtime multiplies int32 but not int8
            factor = self._constant(f"*{weights.refinement}", np.array(weights.refinement, np.int32))
            self._node("Cast", {"to": types.INT32}, [codes], wide)
            self._node("Mul", {}, [wide, factor], finer)
            codes = finer
        self._node("Cast", {"to": types.INT8}, [codes], bytes_)
        return bytes_

    def _width(self, step: Layer) -> int:
        """The bits that a layer's codes are stored in."""
        if self.form != "compact":
            return 8
        return next(width for width in (2, 4, 8) if width >= step.weights.bits)

    def _short(self, letter: str, step: str) -> str:
        return f"{self.number[step]}{letter}"

    def _node(
        self, operator: str, settings: dict[str, Any], inputs: list[str], output: str, name: str = ""
    ) -> None:
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [output], name=name, **settings))

    def _constant(self, name: str, values: ndarray, width: int = 8) -> str:
        if width < 8 and values.dtype == np.int8:
            kind = {4: self.onnx.TensorProto.INT4, 2: self.onnx.TensorProto.INT2}[width]
            packed = pack(torch.from_numpy(values), width).numpy().tobytes()
            tensor = self.onnx.helper.make_tensor(name, kind, values.shape, packed, raw=True)
        else:
            tensor = self.onnx.numpy_helper.from_array(values, name)
        self.constants.setdefault(name, tensor)
        return name
