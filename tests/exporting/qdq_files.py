"""Files of other quantizers, made here and now: ONNX Runtime's own, and what torch.onnx makes of torchao's PT2E."""

import functools
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

from obliq.exporting import export_file
from obliq.models import build_model
from obliq.models.resnet import ResidualNetwork
from obliq.quantization import calibrate_steps, quantize
from tests.exporting.networks import inverted_residuals

SHAPE, SIGNAL = (2, 8, 8), (3, 16)
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "convnet": lambda: build_model("convnet", SHAPE, 5),
    "resnet20": lambda: build_model("resnet20", SHAPE, 5),
    "residual": lambda: ResidualNetwork(2, 5, widths=(6, 10), blocks=1),
    "mobilenet": lambda: inverted_residuals(SHAPE[0], 5),
    "signal": lambda: build_model("signal-convnet", SIGNAL, 5),
}


@dataclass(frozen=True)
class Settings:
    """How ONNX Runtime's quantizer is called."""

    signed: bool = False
    per_channel: bool = True
    symmetric: bool = False
    prepared: bool = False
    integer_bias: bool = True


SETTINGS = {
    "uint8": Settings(),
    "uint8, one scale a layer": Settings(per_channel=False),
    "int8, prepared": Settings(signed=True, per_channel=False, prepared=True),
    "int8, symmetric": Settings(signed=True, symmetric=True),
    "real biases": Settings(integer_bias=False),
}


def trained_a_little(name: str) -> nn.Module:
    """A network whose batch norm has seen data, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = NETWORKS[name]()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1, 0.3)
                nn.init.normal_(module.bias, 0, 0.3)
        for _ in range(3):
            model(torch.randn(32, *shape_of(name)))
    return model.eval()


def shape_of(network: str) -> tuple[int, ...]:
    return SIGNAL if network == "signal" else SHAPE


def images(samples: int, seed: int = 0, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    return torch.randn(samples, *shape, generator=torch.Generator().manual_seed(seed))


@functools.cache
def float_file(network: str, exporter: str) -> bytes:
    """A float network by torch.onnx (batch norm folded), or by our own `--form float`."""
    model = trained_a_little(network)
    if exporter == "obliq":
        made = quantize(model, "W8A8")
        calibrate_steps(made, images(64))
        return export_file(made.eval(), SHAPE, "float")
    return torch_file(model, shape_of(network))


def torch_file(model: nn.Module, shape: tuple[int, ...] = SHAPE) -> bytes:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it announces its own end
        free = {"image": {0: "batch"}, "answer": {0: "batch"}}
        torch.onnx.export(
            model,
            (torch.zeros(2, *shape),),
            f"{folder}/a.onnx",
            input_names=["image"],
            output_names=["answer"],
            dynamic_axes=free,
            opset_version=17,
            dynamo=False,
        )
        return (Path(folder) / "a.onnx").read_bytes()


@functools.cache
def quantized(
    network: str = "convnet", exporter: str = "torch", settings: Settings = SETTINGS["uint8"]
) -> bytes:
    """A file of ONNX Runtime's quantizer."""
    return quantized_file(float_file(network, exporter), images(64, shape=shape_of(network)), settings)


def quantized_file(data: bytes, inputs: torch.Tensor, settings: Settings = SETTINGS["uint8"]) -> bytes:
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        folder = Path(name)
        start, end = folder / "float.onnx", folder / "quantized.onnx"
        start.write_bytes(data)
        if settings.prepared:
            quant_pre_process(start, folder / "prepared.onnx")
            start = folder / "prepared.onnx"
        first = onnx.load(start).graph.input[0].name
        try:
            quantize_static(
                start,
                end,
                _Reader(first, inputs.numpy()),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QInt8 if settings.signed else QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=settings.per_channel,
                extra_options={
                    "ActivationSymmetric": settings.symmetric,
                    "QuantizeBias": settings.integer_bias,
                },
            )
        finally:
            logging.disable(logging.NOTSET)
        return end.read_bytes()


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, inputs: np.ndarray) -> None:
        self.batches: Iterator[dict[str, np.ndarray]] = iter([{name: inputs}])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)


@functools.cache
def like_pt2e() -> bytes:
    """What torch.onnx writes of a PT2E network, from the operators and fields that such files have."""
    model: Any = onnx.load_model_from_string(quantized(settings=SETTINGS["real biases"]))
    model.producer_name, model.opset_import[0].version, model.ir_version = "pytorch", 20, 10
    model.ClearField("metadata_props")
    graph = model.graph
    graph.metadata_props.add(key="pkg.torch.export.ExportedProgram.graph_signature", value="a\nb")
    graph.input[0].metadata_props.add(key="pkg.torch.onnx.original_node_name", value="image")
    for node in graph.node:
        node.metadata_props.add(key="namespace", value=": a.B/c: D")
        node.metadata_props.add(key="pkg.onnxscript.rewriter.rule_name", value="FuseBatchNorm")
        node.metadata_props.add(key="pkg.torch.onnx.stack_trace", value='File "a.py"\n  return b')
        if node.op_type == "GlobalAveragePool":
            node.op_type = "ReduceMean"
            node.input.append("axes")
            node.attribute.extend([helper.make_attribute("keepdims", 1), _setting("noop_with_empty_axes", 0)])
        elif node.op_type == "Flatten":
            node.op_type = "Reshape"
            node.input.append("row")
            node.ClearField("attribute")
            node.attribute.append(_setting("allowzero", 1))
        elif node.op_type == "Conv":
            node.attribute.append(_setting("auto_pad", "NOTSET"))
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array([-1, -2]), "axes"),
            numpy_helper.from_array(np.array([-1, 64]), "row"),
        ]
    )
    onnx.checker.check_model(model)
    written: bytes = model.SerializeToString()
    return written


def _setting(name: str, value: object) -> Any:
    return helper.make_attribute(name, value)


def pt2e(network: str) -> bytes:
    """One of the networks by torchao's PT2E."""
    return pt2e_file(trained_a_little(network), images(64))


def pt2e_file(model: nn.Module, inputs: torch.Tensor) -> bytes:
    """A float network quantized by torchao's PT2E with the quantizer of XNNPACK, and exported by torch.onnx."""
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    free = ({0: torch.export.Dim("batch")},)
    graph = torch.export.export(model, (inputs[:2],), dynamic_shapes=free).module()
    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    prepared = prepare_pt2e(graph, quantizer)
    prepared(inputs)
    with tempfile.TemporaryDirectory() as folder:
        torch.onnx.export(
            convert_pt2e(prepared),
            (inputs[:2],),
            f"{folder}/a.onnx",
            input_names=["image"],
            output_names=["answer"],
            dynamic_shapes=free,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        return (Path(folder) / "a.onnx").read_bytes()


def altered(data: bytes, alter: Callable[[Any], object]) -> bytes:
    """The same file after a change."""
    model = onnx.load_model_from_string(data)
    alter(model)
    written: bytes = model.SerializeToString()
    return written


def constant(model: Any, name: str) -> Any:
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)
