"""Quantized ONNX files of other producers: made where the producer is installed, and read by Obliq.

    python benchmarks/producers.py make nncf --out files      # in an environment with the producer
    python benchmarks/producers.py read files --out benchmarks/results/producers.md

`make` needs torch, scikit-learn, onnx and the producer, and not Obliq. It trains four small networks on the digits of
scikit-learn, quantizes them as the producer documents it, and writes the files with the test samples. `read` reads each
file, compares the rebuilt network with ONNX Runtime on the test samples, and writes one row for each file.
"""

import argparse
import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from producers_networks import NETWORKS, digits, trained

CALIBRATION = 256
"""Training samples that a producer sees."""


def torch_export(model: nn.Module, file: Path, *, dynamo: bool, opset: int | None = None) -> None:
    """A float or fake-quantized network by one of torch.onnx's two exporters, with a free batch."""
    sample = torch.zeros(2, 1, 8, 8)
    how: dict[str, Any] = {"dynamic_axes": {"image": {0: "batch"}, "logits": {0: "batch"}}}
    if dynamo:
        how = {"dynamic_shapes": ({0: torch.export.Dim("batch")},), "external_data": False, "verbose": False}
    names = {"input_names": ["image"], "output_names": ["logits"]}
    torch.onnx.export(model, (sample,), str(file), opset_version=opset, dynamo=dynamo, **names, **how)


Maker = Callable[[nn.Module, Tensor, Path], Iterator[tuple[str, Path]]]
"""From a trained network, calibration samples and a folder to files, with how each was made."""


def onnxruntime_files(model: nn.Module, inputs: Tensor, folder: Path) -> Iterator[tuple[str, Path]]:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter([{"image": inputs.numpy()}])

        def get_next(self) -> Any:
            return next(self.left, None)

    for exporter, dynamo, opset in (("old exporter, opset 17", False, 17), ("dynamo, opset 20", True, 20)):
        file, prepared = folder / "float.onnx", folder / "prepared.onnx"
        torch_export(model, file, dynamo=dynamo, opset=opset)
        quant_pre_process(file, prepared)
        ways: dict[str, dict[str, Any]] = {
            "defaults": {},
            "per channel": {"per_channel": True, "activation_type": QuantType.QUInt8},
        }
        for way, settings in ways.items():
            out = folder / f"{way} {exporter}.onnx"
            quantize_static(prepared, out, Reader(), quant_format=QuantFormat.QDQ, **settings)
            yield f"quantize_static, {way}; {exporter}", out


def nncf_files(model: nn.Module, inputs: Tensor, folder: Path) -> Iterator[tuple[str, Path]]:
    import nncf
    import onnx

    file = folder / "float.onnx"
    torch_export(model, file, dynamo=False, opset=17)
    samples = nncf.Dataset([inputs[i : i + 1] for i in range(64)], lambda one: {"image": one.numpy()})
    for preset in (nncf.QuantizationPreset.PERFORMANCE, nncf.QuantizationPreset.MIXED):
        made = nncf.quantize(onnx.load(file), samples, preset=preset, subset_size=64)
        onnx.save(made, folder / f"onnx {preset.value}.onnx")
        yield f"nncf.quantize of ONNX, {preset.value}", folder / f"onnx {preset.value}.onnx"
    graph = torch.export.export(
        model, (inputs[:2],), dynamic_shapes=({0: torch.export.Dim("batch")},)
    ).module()
    made = nncf.quantize(graph, nncf.Dataset([inputs[i : i + 1] for i in range(64)]), subset_size=64)
    torch_export(made, folder / "graph.onnx", dynamo=True)
    yield "nncf.quantize of an exported graph; dynamo", folder / "graph.onnx"


def brevitas_files(model: nn.Module, inputs: Tensor, folder: Path) -> Iterator[tuple[str, Path]]:
    from brevitas.export import export_onnx_qcdq
    from brevitas.graph.calibrate import bias_correction_mode, calibration_mode
    from brevitas.graph.quantize import preprocess_for_quantize, quantize

    graph = quantize(preprocess_for_quantize(torch.fx.symbolic_trace(model)))
    with torch.no_grad():
        with calibration_mode(graph):
            graph(inputs)
        with bias_correction_mode(graph):
            graph(inputs)
    free = {"dynamic_axes": {"image": {0: "batch"}, "logits": {0: "batch"}}}
    names = {"input_names": ["image"], "output_names": ["logits"]}
    file = folder / "qcdq.onnx"
    export_onnx_qcdq(
        graph.eval(), inputs[:2], export_path=str(file), opset_version=17, dynamo=False, **free, **names
    )
    yield "graph.quantize, export_onnx_qcdq, opset 17", file


def pt2e_files(model: nn.Module, inputs: Tensor, folder: Path) -> Iterator[tuple[str, Path]]:
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
        X86InductorQuantizer,
        get_default_x86_inductor_quantization_config,
    )

    quantizers: dict[str, Any] = {
        "X86InductorQuantizer": X86InductorQuantizer().set_global(
            get_default_x86_inductor_quantization_config()
        )
    }
    try:
        from executorch.backends.xnnpack.quantizer import xnnpack_quantizer as xnnpack
    except ImportError:
        pass
    else:
        config = xnnpack.get_symmetric_quantization_config(is_per_channel=True)
        quantizers["XNNPACKQuantizer"] = xnnpack.XNNPACKQuantizer().set_global(config)
    for name, quantizer in quantizers.items():
        free = ({0: torch.export.Dim("batch")},)
        prepared = prepare_pt2e(
            torch.export.export(model, (inputs[:2],), dynamic_shapes=free).module(), quantizer
        )
        prepared(inputs)
        torch_export(convert_pt2e(prepared), folder / f"{name}.onnx", dynamo=True)
        yield f"{name}; dynamo, default opset", folder / f"{name}.onnx"


def ultralytics_files(model: nn.Module, inputs: Tensor, folder: Path) -> Iterator[tuple[str, Path]]:
    """Its own network and its own training, with pictures of the digits in three colours."""
    from PIL import Image
    from ultralytics import YOLO

    x, y, test, test_labels = digits()
    parts = {"train": (x, y), "val": (test, test_labels), "test": (test, test_labels)}
    for part, (samples, labels) in parts.items():
        for number, (sample, label) in enumerate(zip(samples, labels, strict=True)):
            where = folder / "pictures" / part / str(int(label))
            where.mkdir(parents=True, exist_ok=True)
            grey = ((sample[0] + 1) * 127.5).round().to(torch.uint8).numpy()
            Image.fromarray(grey).resize((32, 32)).convert("RGB").save(where / f"{number}.png")
    yolo = YOLO("yolov8n-cls.yaml")
    data, size = str((folder / "pictures").resolve()), 32
    quiet = {"plots": False, "verbose": False, "workers": 0, "device": "cpu"}
    yolo.train(data=data, epochs=2, imgsz=size, batch=64, amp=False, project=str(folder.resolve()), **quiet)
    large = F.interpolate((test + 1) / 2, size=(size, size), mode="bilinear").repeat(1, 3, 1, 1)
    np.save(folder / "samples.npy", large.numpy())
    for way, dynamic in (("batch of one", False), ("free batch", True)):
        written = Path(
            yolo.export(format="onnx", int8=True, data=data, imgsz=size, dynamic=dynamic, opset=17)
        )
        file = written.rename(folder / f"{way}.onnx")
        yield f'YOLO("yolov8n-cls.yaml").export(format="onnx", int8=True), {way}', file


PRODUCERS: dict[str, tuple[Maker, tuple[str, ...]]] = {
    "onnxruntime": (onnxruntime_files, ("onnxruntime", "torch")),
    "nncf": (nncf_files, ("nncf", "onnx", "torch")),
    "brevitas": (brevitas_files, ("brevitas", "torch")),
    "pt2e": (pt2e_files, ("torchao", "torch")),
    "ultralytics": (ultralytics_files, ("ultralytics", "onnxruntime", "torch")),
}
"""How each producer's files are made, and the packages whose versions count."""


def make(producer: str, out: Path, networks: list[str]) -> None:
    """Write the files of one producer, and `files.json`, which lists them."""
    maker, packages = PRODUCERS[producer]
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    samples, _, test, labels = digits()
    rows = []
    for network in networks if producer != "ultralytics" else ["yolov8n-cls"]:
        folder = out / producer / network
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "samples.npy", test.numpy())
        model = trained(network if network in NETWORKS else "convnet")
        with torch.no_grad():
            right = float((model(test).argmax(1) == labels).double().mean())
        print(f"{network}: float accuracy {100 * right:.1f} %", flush=True)
        try:
            for how, file in maker(model, samples[:CALIBRATION], folder):
                rows.append({"network": network, "how": how, "file": str(file.relative_to(out / producer))})
                print(f"  {how}", flush=True)
        except Exception as error:  # a producer's own failure is a result, too
            rows.append(
                {
                    "network": network,
                    "how": " ".join(f"{type(error).__name__}: {error}".split())[:200],
                    "file": "",
                }
            )
            print(f"  failed: {rows[-1]['how']}", flush=True)
    found = {"producer": producer, "versions": versions, "rows": rows}
    (out / producer / "files.json").write_text(json.dumps(found, indent=1))


def measured(file: Path, samples: np.ndarray) -> tuple[str, str, str]:
    """Whether a file comes in, and how far the rebuilt network and ONNX Runtime on the file agree."""
    from obliq.errors import ObliqError
    from obliq.exporting import open_exported

    try:
        opened = open_exported(file)
        network = opened.rebuild()
    except ObliqError as error:
        return f"refused: {str(error).removeprefix(f'{file}: ')[:160]}", "", ""
    inputs = torch.from_numpy(samples)
    with torch.no_grad():
        ours = network(inputs).numpy()
    theirs = opened.predictor.predict(inputs).numpy()
    same = 100 * float((ours.argmax(1) == theirs.argmax(1)).mean())
    mean = float(np.abs(ours - theirs).mean() / np.abs(theirs).mean())
    return f"yes, {opened.precision}", f"{same:.1f} %", f"{100 * mean:.2f} %"


def read(folder: Path, out: Path) -> None:
    """Write the table of all files below a folder."""
    import onnxruntime

    lines = [
        "# Quantized ONNX files of other producers",
        "",
        "Written by `benchmarks/producers.py`. Small networks, trained on the digits of scikit-learn, were quantized",
        "by each producer and read by Obliq. *Same class* is the share of 497 test samples to which the rebuilt",
        "network and ONNX Runtime, on the producer's own file, give one class. *Difference* is the mean difference of",
        "their logits, as a share of the mean size of a logit. ONNX Runtime rounds the real weights of layers that a",
        "producer left out. Files of `X86InductorQuantizer` have the code -128, which is -127 for training. One trial",
        "each.",
        "",
        f"Read with ONNX Runtime {onnxruntime.__version__}.",
    ]
    for listed in sorted(folder.glob("*/files.json")):
        found = json.loads(listed.read_text())
        lines += ["", f"## {found['producer']} ({found['versions']})", ""]
        lines += [
            "| network | how the file was made | came in | same class | difference |",
            "| --- | --- | --- | ---: | ---: |",
        ]
        for row in found["rows"]:
            if not row["file"]:
                lines.append(f"| {row['network']} | not made: {row['how']} | | | |")
                continue
            samples = np.load(listed.parent / row["network"] / "samples.npy")
            cells = measured(listed.parent / row["file"], samples)
            lines.append(f"| {row['network']} | {row['how']} | {' | '.join(cells)} |")
    out.write_text("\n".join(lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    making = verbs.add_parser("make")
    making.add_argument("producer", choices=PRODUCERS)
    making.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    making.add_argument("--out", type=Path, required=True)
    reading = verbs.add_parser("read")
    reading.add_argument("folder", type=Path)
    reading.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    if given.verb == "read":
        read(given.folder, given.out)
    else:
        make(given.producer, given.out, given.networks)


if __name__ == "__main__":
    sys.exit(main())
