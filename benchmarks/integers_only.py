"""What does it cost in Avg. Gap when only the deployed integers are left to unlearn from?

The same original and request, unlearned by `calibrated` in three ways: from latent weights with learned steps, from
latent weights with frozen steps, and from the exported file. All three are measured as exported files in ONNX
Runtime, against the retrained network's file.

Then the same for a float network that others make W8A8, ONNX Runtime's quantizer and PyTorch's PT2E with the
quantizer of XNNPACK: unlearned in floats and quantized again, or unlearned from the quantized file. PT2E needs the
extras `dev` and `executorch`.

    python benchmarks/integers_only.py --fashion DIR --seeds 1 2 3
"""

import argparse
import copy
import dataclasses
import logging
import platform
import statistics
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
    XNNPACKQuantizer,
    get_symmetric_quantization_config,
)
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import Tensor, nn
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

from obliq.auditing import AuditedModel, Measurement, audit_models
from obliq.checkpoints import Blueprint, Checkpoint
from obliq.data import Partition, PartitionRule, Splits, load_dataset, partition
from obliq.data.batches import batches
from obliq.data.request_file import Request
from obliq.exporting import export_file, open_exported
from obliq.methods import Calibrated, Method, Retrain
from obliq.quantization import Precision
from obliq.run import Run
from obliq.training.loop import Recipe
from obliq.training.prediction import Predictor
from obliq.workflow.compare_files import role_signals
from obliq.workflow.new_request import create_request
from obliq.workflow.pipeline import train_original, unlearn_original
from obliq.workflow.unlearn_file import unlearn_file

TABLE = Path(__file__).parent / "results" / "integers_only.md"
SHAPE = (1, 28, 28)
METHOD = Calibrated(projection="always", epochs=3, learning_rate=0.02, forget_batch=64, record_every=0)
FROZEN = dataclasses.replace(METHOD, steps="frozen")
NUMBERS = (
    "forget_accuracy",
    "retain_accuracy",
    "test_accuracy",
    "mia_svc_confidence",
    "auc_forget_vs_test",
    "average_gap",
)
KINDS = {"no unlearning": "original", "retrained": "retrained"}


def opened(content: bytes, folder: Path, name: str) -> Predictor:
    """A file's bytes in ONNX Runtime."""
    file = folder / f"{name}.onnx"
    file.write_bytes(content)
    return open_exported(file).predictor


@dataclass(frozen=True)
class World:
    """One seed's division, request and run."""

    run: Run
    parts: Partition
    splits: Splits
    request: Request
    recipe: Recipe

    @classmethod
    def of(cls, folder: Path | None, seed: int, limit: int, epochs: int) -> "World":
        """A tenth of the training images is to be forgotten."""
        rule = PartitionRule(seed=seed, holdout=0.03, limit=limit)
        parts = partition(load_dataset("fashion-mnist", folder), rule)
        recipe = Recipe(epochs=epochs, learning_rate=0.1, batch_size=64)
        return cls(Run(seed=seed), parts, *create_request(parts, "random=10%", seed=seed), recipe)

    def original(self, precision: Precision) -> Checkpoint:
        """A network that has learned from everything."""
        blueprint = Blueprint(
            architecture="strided-convnet", input_shape=SHAPE, classes=10, precision=precision
        )
        return train_original(self.parts, blueprint, self.recipe, self.run).checkpoint

    def forgotten(self, original: Checkpoint, method: Method) -> nn.Module:
        """What a method makes of it."""
        return unlearn_original(original, self.splits, self.request, method, self.run).checkpoint.model

    def from_file(self, content: bytes, place: Path) -> bytes:
        """What is made of the file alone."""
        start = place / "start.onnx"
        start.write_bytes(content)
        return unlearn_file(open_exported(start), self.splits, self.request, FROZEN, self.run).content


def ours(world: World, place: Path) -> dict[str, bytes]:
    """Files of a W4A4 network by how they came about."""
    original = world.original(Precision(4, 4))
    made = {"no unlearning": export_file(original.model, SHAPE)}
    for name, method in {
        "latent weights, learned steps": METHOD,
        "latent weights, frozen steps": FROZEN,
        "retrained": Retrain(recipe=world.recipe),
    }.items():
        made[name] = export_file(world.forgotten(original, method), SHAPE)
    return made | {"the file alone": world.from_file(made["no unlearning"], place)}


Quantizer = Callable[[nn.Module, Tensor, Path], bytes]
"""Makes a file of a float network, its ranges from the samples given."""


@dataclass(frozen=True)
class Foreign:
    """Files of another quantizer by how they came about."""

    quantizer: Quantizer

    def __call__(self, world: World, place: Path) -> dict[str, bytes]:
        """The same float networks whatever the quantizer: they follow from the world's seed."""
        seen = next(batches(world.splits.retain, 256, None, torch.device("cpu")))[0].contiguous()
        original = world.original(Precision.parse("FP32"))
        made = {"no unlearning": self.quantizer(original.model, seen, place)}
        for name, method in {"float weights": METHOD, "retrained": Retrain(recipe=world.recipe)}.items():
            made[name] = self.quantizer(world.forgotten(original, method), seen, place)
        return made | {"the file alone": world.from_file(made["no unlearning"], place)}


def by_pt2e(model: nn.Module, seen: Tensor, place: Path) -> bytes:
    """W8A8 in QDQ form with int8 weights per channel, written by torch.onnx."""
    free = ({0: torch.export.Dim("batch")},)
    # in channels_last, as it was trained, torch.onnx would write shapes that the file computes
    model = copy.deepcopy(model).eval().to(memory_format=torch.contiguous_format)
    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what the libraries will do otherwise one day
        graph = torch.export.export(model, (seen[:2],), dynamic_shapes=free).module()
        prepared = prepare_pt2e(graph, quantizer)
        prepared(seen)
        torch.onnx.export(
            convert_pt2e(prepared),
            (seen[:2],),
            str(place / "pt2e.onnx"),
            input_names=["input"],
            output_names=["logits"],
            dynamic_shapes=free,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    return (place / "pt2e.onnx").read_bytes()


def by_onnxruntime(model: nn.Module, seen: Tensor, place: Path) -> bytes:
    """W8A8 in QDQ form with int8 weights per channel, of a float file by torch.onnx."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.onnx announces the end of this exporter
        free = {"input": {0: "batch"}, "logits": {0: "batch"}}
        torch.onnx.export(
            model.eval(),
            (seen[:2],),
            str(place / "float.onnx"),
            input_names=["input"],
            output_names=["logits"],
            dynamic_axes=free,
            opset_version=17,
            dynamo=False,
        )
    quantize_static(
        place / "float.onnx",
        place / "quantized.onnx",
        Reader(iter([{"input": seen.numpy()}])),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
    )
    return (place / "quantized.onnx").read_bytes()


@dataclass
class Reader(CalibrationDataReader):  # type: ignore[misc]
    """Batches for the quantizer."""

    batches: Iterator[dict[str, np.ndarray]]

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next one."""
        return next(self.batches, None)


def measured(
    world: World, make: Callable[[World, Path], dict[str, bytes]], precision: str
) -> dict[str, Measurement]:
    """Every way for one seed."""
    with tempfile.TemporaryDirectory() as name:
        models = [
            AuditedModel(
                kind=KINDS.get(title, "unlearned"),
                name=title,
                answers=role_signals(opened(content, Path(name), "now"), world.splits),
            )
            for title, content in make(world, Path(name)).items()
        ]
    return {entry.name: entry for entry in audit_models(models, precision=precision).entries}


def table(seeds: list[dict[str, Measurement]]) -> str:
    """Means and deviations."""
    lines = [
        "| unlearned from | FA | RA | TA | MIA | AUC | Avg. Gap |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in seeds[0]:
        cells = [
            " ± ".join(
                f"{value:.2f}" for value in _mean_and_spread([getattr(one[name], number) for one in seeds])
            )
            for number in NUMBERS
        ]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fashion", type=Path, default=None, help="folder of the Fashion-MNIST files")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--limit", type=int, default=3000, help="about so many training images")
    parser.add_argument("--epochs", type=int, default=20, help="of training")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)  # the quantizer recommends its preprocessing
    worlds = [
        World.of(arguments.fashion, seed, arguments.limit, arguments.epochs) for seed in arguments.seeds
    ]
    sections = {
        "Our exporter, W4A4": (ours, "W4A4"),
        "ONNX Runtime's quantizer, W8A8": (Foreign(by_onnxruntime), "W8A8"),
        "PyTorch's PT2E with XNNPACK's quantizer, W8A8": (Foreign(by_pt2e), "W8A8"),
    }
    tables = [
        f"## {title}\n\n{table([measured(world, make, precision) for world in worlds])}\n"
        for title, (make, precision) in sections.items()
    ]
    TABLE.write_text(
        "# Unlearning from the deployed integers alone\n\n"
        f"Made by `benchmarks/integers_only.py` with torch {torch.__version__} on {platform.machine()}; Fashion-MNIST, "
        f"about {arguments.limit:,} training images\nand {arguments.epochs} epochs, 10 % random forgotten, "
        "strided-convnet, calibrated at one setting that was not tuned,\n"
        f"{len(worlds)} seed(s), mean ± deviation. All rows are files in ONNX Runtime. Percent, gaps in points.\n"
        "Under quantizers of others: a float network, unlearned in floats and quantized again, or unlearned from the\n"
        "quantized file; beside the retrained network as the same quantizer makes it.\n\n" + "\n".join(tables)
    )
    print(TABLE.read_text())


def _mean_and_spread(values: list[float]) -> list[float]:
    return [statistics.mean(values), *([statistics.stdev(values)] if len(values) > 1 else [])]


if __name__ == "__main__":
    main()
