"""Which networks come through: quantized to W8A8, trained for a few steps, exported, and run in ONNX Runtime.

Classifiers of torchvision and timm, with random weights and on random data, and networks written by hand. Nothing is
learned: the table shows whether every layer has an integer form, and whether a file computes what the interpreter does.

    python -m pip install torchvision timm
    python benchmarks/networks.py [--only NAME ...]
"""

import argparse
import copy
import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.errors import ObliqError
from obliq.exporting import check, export_file
from obliq.exporting.onnx.runtime import onnx_runtime
from obliq.quantization import calibrate_steps, quantize
from obliq.quantization.layers import keep_steps_positive_

TABLE = Path(__file__).parent / "results" / "networks.md"
CLASSES, SAMPLES, STEPS = 10, 8, 3
IMAGE = (3, 64, 64)
TORCHVISION = (
    *("resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "mnasnet0_5"),
    *("regnet_y_400mf", "efficientnet_b0", "shufflenet_v2_x0_5", "squeezenet1_1", "densenet121", "vgg11_bn"),
    "googlenet",
)
TIMM = (
    *("resnet18", "resnet10t", "seresnet18", "mobilenetv2_050", "mobilenetv3_small_050", "efficientnet_b0"),
    *("mobilenetv4_conv_small_050", "efficientnet_lite0", "mnasnet_small", "semnasnet_075", "lcnet_050"),
    *("ghostnet_050", "regnetx_002", "regnety_002", "repvgg_a0", "fbnetc_100", "hardcorenas_a", "tinynet_e"),
    *("mixnet_s", "dla46_c", "mobileone_s0"),
)


class SmallUNet(nn.Module):
    """A U-Net of two levels that ends in a mean over space."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.bottom, self.up = _normed(3, 16), _normed(16, 32), _normed(48, 16)
        self.last = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        top = F.relu(self.down(x))
        bottom = F.relu(self.bottom(F.max_pool2d(top, 2)))
        x = F.relu(self.up(torch.cat([top, F.interpolate(bottom, scale_factor=2)], 1)))
        return self.last(x.mean((2, 3)))


class PointNet(nn.Module):
    """Layers of size 1 over points, and the largest value over all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv1d(3, 32, 1), nn.BatchNorm1d(32), nn.ReLU()),
            *(nn.Conv1d(32, 64, 1), nn.BatchNorm1d(64), nn.ReLU()),
        )
        self.head = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        return self.head(torch.amax(self.body(x), 2))


class TemporalResidual(nn.Module):
    """A block of TC-ResNet."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(inputs, outputs, 9, 2, 4, bias=False)
        self.second = nn.Conv1d(outputs, outputs, 9, 1, 4, bias=False)
        self.skip = nn.Conv1d(inputs, outputs, 1, 2, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm1d(outputs) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        y = self.norms[1](self.second(F.relu(self.norms[0](self.first(x)))))
        return F.relu(y + F.relu(self.norms[2](self.skip(x))))


class KeywordResNet(nn.Module):
    """TC-ResNet8: the frequencies of a spectrogram are the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(40, 16, 3, padding=1, bias=False)
        self.blocks = nn.Sequential(
            TemporalResidual(16, 24), TemporalResidual(24, 32), TemporalResidual(32, 48)
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Dropout(), nn.Linear(48, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        return self.head(self.blocks(self.stem(x.squeeze(1))))


def _normed(inputs: int, outputs: int, groups: int = 1, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def separable_sound() -> nn.Module:
    """DS-CNN: a convolution, then depthwise and 1x1 ones in turn."""
    blocks = [
        part
        for _ in range(4)
        for part in (*_normed(64, 64, 64), nn.ReLU(), *_normed(64, 64, 1, 1), nn.ReLU())
    ]
    stem = [nn.Conv2d(1, 64, (10, 4), 2, (5, 1), bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    head = [nn.Dropout(0.4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, CLASSES)]
    return nn.Sequential(*stem, *blocks, *head)


def motion() -> nn.Module:
    """A one-dimensional network for three axes of an accelerometer."""
    return nn.Sequential(
        *(nn.Conv1d(3, 16, 5, padding=2), nn.BatchNorm1d(16), nn.ReLU(), nn.MaxPool1d(2)),
        *(nn.Conv1d(16, 32, 5, padding=2), nn.BatchNorm1d(32), nn.GELU(), nn.AvgPool1d(2)),
        *(nn.Flatten(), nn.Linear(32 * 32, 32), nn.LeakyReLU(), nn.Linear(32, CLASSES)),
    )


def _torchvision(name: str) -> nn.Module:
    settings = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    models = importlib.import_module("torchvision.models")
    network: nn.Module = getattr(models, name)(weights=None, num_classes=CLASSES, **settings)
    return network


def _timm(name: str) -> nn.Module:
    network: nn.Module = importlib.import_module("timm").create_model(name, num_classes=CLASSES)
    return network


@dataclass(frozen=True)
class Case:
    """One network."""

    source: str
    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...] = IMAGE


CASES = (
    *(Case("torchvision", name, lambda name=name: _torchvision(name)) for name in TORCHVISION),
    *(Case("timm", name, lambda name=name: _timm(name)) for name in TIMM),
    Case("by hand", "DS-CNN", separable_sound, (1, 49, 10)),
    Case("by hand", "TC-ResNet8", KeywordResNet, (1, 40, 98)),
    Case("by hand", "1-D CNN", motion, (3, 128)),
    Case("by hand", "U-Net of two levels", SmallUNet, (3, 32, 32)),
    Case("by hand", "PointNet", PointNet, (3, 256)),
)


def row(case: Case) -> tuple[bool, str]:
    """Whether a network came through, and its line in the table."""
    torch.manual_seed(0)
    network = case.build()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    start = [case.source, case.name, " x ".join(map(str, case.shape)), f"{parameters / 1e6:.2f} M"]
    try:
        cells = _measured(network, case.shape)
    except ObliqError as error:
        reason = str(error).split("; expected Conv1d")[0].replace("|", "\\|")
        return False, "| " + " | ".join([*start, "refused", f"`{reason}`", ""]) + " |"
    return True, "| " + " | ".join([*start, *cells]) + " |"


def _measured(network: nn.Module, shape: tuple[int, ...]) -> list[str]:
    """Quantize, train for a few steps, export, compare."""
    inputs, labels = torch.randn(16, *shape), torch.arange(16) % CLASSES
    model = quantize(network.train(), "W8A8", input_shape=shape)
    calibrate_steps(model, inputs)
    export_file(copy.deepcopy(model).eval(), shape)  # before training: whatever is refused, is refused here
    descent = torch.optim.SGD(model.parameters(), 1e-3)
    for _ in range(STEPS):
        descent.zero_grad()
        F.cross_entropy(model(inputs), labels).backward()
        descent.step()
        keep_steps_positive_(model)
    data = export_file(model.eval(), shape)
    found = check(model, data, inputs[:SAMPLES])
    share = 100 * found.activations.equal
    equal = "all" if found.activations.equal == 1 else f"{share:.4f} %"
    off = f", {found.activations.largest_step} steps off" if found.activations.largest_step else ""
    compared = f"{equal} of {found.activations.compared:,}{off}"
    return [compared, f"{100 * found.reference.same_top1:.0f} %", f"{len(data) / 1e6:.2f} MB"]


def main() -> None:
    """Write the table, or the rows of some networks to the terminal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], help="names of networks; prints their rows alone")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[str] = []
    came: dict[str, list[bool]] = {}
    for case in CASES:
        if arguments.only and case.name not in arguments.only:
            continue
        begun = time.perf_counter()
        through, line = row(case)
        rows.append(line)
        came.setdefault("by hand" if case.source == "by hand" else "classifiers", []).append(through)
        print(line, f"{time.perf_counter() - begun:.0f} s", flush=True)
    if not arguments.only:
        TABLE.write_text(_head(came) + "\n".join(rows) + "\n", encoding="utf-8")


def _head(came: dict[str, list[bool]]) -> str:
    counts = {name: f"{sum(found)} of {len(found)}" for name, found in came.items()}
    versions = [f"{name} {importlib.import_module(name).__version__}" for name in ("torchvision", "timm")]
    return f"""# Networks that come through

Made by `benchmarks/networks.py`; {", ".join(versions)}, PyTorch {torch.__version__}, {onnx_runtime()},
one thread. Weights and data are random, and each network was trained for {STEPS} steps. The table shows whether every
layer has an integer form and whether the file computes what the interpreter does, not how accurate a network is.
Networks are quantized to W8A8 and exported in the `integer` form. Activations of {SAMPLES} inputs are compared code by
code; top-1 is the share of inputs with the interpreter's answer.

**{counts["classifiers"]}** classifiers of torchvision and timm come through, and {counts["by hand"]} networks written
by hand. The others are refused before training, in one line with the path of the layer.

| from | network | input | parameters | activations equal to the interpreter's | top-1 | file |
| --- | --- | --- | --- | --- | --- | --- |
"""


if __name__ == "__main__":
    main()
