"""Which networks come through: quantized to W8A8, trained for a few steps, exported, and run in ONNX Runtime.

Classifiers of torchvision and timm on images of three sizes, with random weights and on random data, and networks
written by hand. Nothing is learned: the table shows whether every layer has an integer form, and whether a file
computes what the interpreter does.

    python -m pip install torchvision timm
    python benchmarks/networks.py [--pixels SIDE ...] [--only NAME ...]

Each run replaces its own rows in results/networks.csv, and makes results/networks.md of all of them. On one processor
core, all classifiers take about ten minutes at 32 and at 64 pixels each, and an hour at 224.
"""

import argparse
import copy
import csv
import importlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.errors import ObliqError
from obliq.exporting import check, export_file
from obliq.exporting.onnx.runtime import onnx_runtime
from obliq.quantization import calibrate_steps, quantize
from obliq.quantization.layers import keep_steps_positive_

RESULTS = Path(__file__).parent / "results" / "networks.csv"
TABLE = RESULTS.with_suffix(".md")
CLASSES, STEPS = 10, 3
IMAGES = {32: (16, 8), 64: (16, 8), 224: (4, 2)}
"""By the side of an image in pixels: how many a network is trained on, and on how many it is compared."""
BY_HAND = (16, 8)
"""The same for networks written by hand, which have inputs of their own."""
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


class TransposedUNet(nn.Module):
    """The same with three levels, and transposed convolutions in place of the nearest upsampling."""

    def __init__(self) -> None:
        super().__init__()
        self.top, self.middle, self.bottom = _normed(3, 16), _normed(16, 32), _normed(32, 64)
        self.up, self.up_again = (
            nn.ConvTranspose2d(64, 32, 2, 2),
            nn.ConvTranspose2d(32, 16, 4, 2, 1, bias=False),
        )
        self.norm, self.join, self.join_again = nn.BatchNorm2d(16), _normed(64, 32), _normed(32, 16)
        self.last = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        top = F.relu(self.top(x))
        middle = F.relu(self.middle(F.max_pool2d(top, 2)))
        x = F.relu(self.bottom(F.max_pool2d(middle, 2)))
        x = F.relu(self.join(torch.cat([middle, self.up(x)], 1)))
        x = F.relu(self.join_again(torch.cat([top, F.relu(self.norm(self.up_again(x)))], 1)))
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
    """One network on inputs of one shape."""

    source: str
    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    images: tuple[int, int] = BY_HAND


CLASSIFIERS = (
    *(("torchvision", name, lambda name=name: _torchvision(name)) for name in TORCHVISION),
    *(("timm", name, lambda name=name: _timm(name)) for name in TIMM),
)
CASES = (
    *(Case(*one, (3, pixels, pixels), images) for pixels, images in IMAGES.items() for one in CLASSIFIERS),
    Case("by hand", "DS-CNN", separable_sound, (1, 49, 10)),
    Case("by hand", "TC-ResNet8", KeywordResNet, (1, 40, 98)),
    Case("by hand", "1-D CNN", motion, (3, 128)),
    Case("by hand", "U-Net of two levels", SmallUNet, (3, 32, 32)),
    Case("by hand", "U-Net with transposed convolutions", TransposedUNet, (3, 32, 32)),
    Case("by hand", "PointNet", PointNet, (3, 256)),
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was found for a network; a line of the results.

    Attributes:
        source: where the network comes from.
        name: its name there.
        shape: of one input, such as `3 x 64 x 64`.
        parameters: how many numbers it learns, in millions.
        refused: why it was refused; empty for a network that came through.
        compared: activation codes that were compared with the interpreter's.
        different: how many of them differ.
        steps_off: the most that one of them is off by.
        same_top1: percentage of inputs with the interpreter's answer.
        megabytes: size of the file.
    """

    source: str
    name: str
    shape: str
    parameters: float
    refused: str = ""
    compared: int = 0
    different: int = 0
    steps_off: int = 0
    same_top1: float = 0.0
    megabytes: float = 0.0

    @property
    def key(self) -> tuple[str, str, str]:
        """What a later run of the same case replaces."""
        return self.source, self.name, self.shape


def row(case: Case) -> Row:
    """Quantize, train for a few steps, export, compare."""
    torch.manual_seed(0)
    network = case.build()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    start: dict[str, Any] = {
        "source": case.source,
        "name": case.name,
        "parameters": round(parameters / 1e6, 2),
    }
    start["shape"] = " x ".join(map(str, case.shape))
    try:
        return Row(**start, **_measured(network, case))
    except ObliqError as error:
        return Row(**start, refused=str(error).split("; expected Conv1d")[0])


def _measured(network: nn.Module, case: Case) -> dict[str, Any]:
    trained_on, compared_on = case.images
    inputs, labels = torch.randn(trained_on, *case.shape), torch.arange(trained_on) % CLASSES
    model = quantize(network.train(), "W8A8", input_shape=case.shape)
    calibrate_steps(model, inputs)
    export_file(
        copy.deepcopy(model).eval(), case.shape
    )  # before training: whatever is refused, is refused here
    descent = torch.optim.SGD(model.parameters(), 1e-3)
    for _ in range(STEPS):
        descent.zero_grad()
        F.cross_entropy(model(inputs), labels).backward()
        descent.step()
        keep_steps_positive_(model)
    data = export_file(model.eval(), case.shape)
    found = check(model, data, inputs[:compared_on])
    codes = found.activations
    return {
        "compared": codes.compared,
        "different": round((1 - codes.equal) * codes.compared),
        "steps_off": codes.largest_step,
        "same_top1": 100 * found.reference.same_top1,
        "megabytes": round(len(data) / 1e6, 2),
    }


def main() -> None:
    """Measure some networks, and write the table of all that have been measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[], help="names of networks")
    parser.add_argument(
        "--pixels", nargs="*", type=int, default=[*IMAGES], choices=[*IMAGES], help="sides of images"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for case in CASES:
        sized = case.source == "by hand" or case.shape[-1] in arguments.pixels
        if not sized or (arguments.only and case.name not in arguments.only):
            continue
        begun = time.perf_counter()
        found = row(case)
        _store(found)
        print(found, f"{time.perf_counter() - begun:.0f} s", flush=True)


def _store(found: Row) -> None:
    """Put a row in place of its older one, and make the table anew."""
    rows = _stored() | {found.key: found}
    order = {(case.source, case.name, " x ".join(map(str, case.shape))): at for at, case in enumerate(CASES)}
    kept = sorted((one for one in rows.values() if one.key in order), key=lambda one: order[one.key])
    with RESULTS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(asdict, kept))
    TABLE.write_text(_table(kept), encoding="utf-8")


def _stored() -> dict[tuple[str, str, str], Row]:
    if not RESULTS.exists():
        return {}
    with RESULTS.open(encoding="utf-8", newline="") as file:
        kinds = {field.name: field.type for field in fields(Row)}
        rows = [
            Row(**{name: kinds[name](text) for name, text in one.items()}) for one in csv.DictReader(file)
        ]  # type: ignore[operator]
    return {one.key: one for one in rows}


def _table(rows: list[Row]) -> str:
    """All rows as text: a line for each classifier, and one for each network written by hand."""
    reasons: list[str] = []
    by_name = {one.key: one for one in rows}
    lines, came = [], {side: [0, 0] for side in IMAGES}
    for source, name, _ in CLASSIFIERS:
        sizes = {side: by_name.get((source, name, f"3 x {side} x {side}")) for side in IMAGES}
        found = [one for one in sizes.values() if one is not None]
        if not found:
            continue
        size = max(one.megabytes for one in found)
        cells = [source, name, f"{found[0].parameters:.2f} M", f"{size:.2f} MB" if size else ""]
        cells += [_cell(one, reasons) for one in sizes.values()]
        for side, one in sizes.items():
            came[side][0] += one is not None and not one.refused
            came[side][1] += one is not None
        lines.append("| " + " | ".join(cells) + " |")
    own = [one for one in rows if one.source == "by hand"]
    versions = [f"{name} {importlib.import_module(name).__version__}" for name in ("torchvision", "timm")]
    every = [one for one in rows if not one.refused]
    equal = sum(one.different == 0 and one.same_top1 == 100 for one in every)
    sizes_text = ", ".join(f"**{count} of {of}** at {side} pixels" for side, (count, of) in came.items())
    return (
        HEAD.format(
            versions=", ".join(versions),
            torch=torch.__version__,
            runtime=onnx_runtime(),
            steps=STEPS,
            images="; ".join(f"{some} images of {side} pixels" for side, (_, some) in IMAGES.items()),
            by_hand=BY_HAND[1],
            counts=sizes_text,
            own=f"{sum(not one.refused for one in own)} of {len(own)}",
            equal=f"{equal} of {len(every)}",
        )
        + "\n".join(lines)
        + OWN_HEAD
        + "\n".join(_own_line(one, reasons) for one in own)
        + "\n"
        + "".join(f"\n{number}. `{reason}`" for number, reason in enumerate(reasons, 1))
        + ("\n" if reasons else "")
    )


def _cell(one: Row | None, reasons: list[str]) -> str:
    """How many codes were compared, what differs, or the number of the reason for which it was refused."""
    if one is None:
        return "not run"
    if one.refused:
        if one.refused not in reasons:
            reasons.append(one.refused)
        return f"refused ({reasons.index(one.refused) + 1})"
    text = f"{one.compared:,}"
    if one.different:
        text += f", {one.different:,} differ, by at most {one.steps_off}"
    return text if one.same_top1 == 100 else f"{text}, top-1 {one.same_top1:.0f} %"


def _own_line(one: Row, reasons: list[str]) -> str:
    cells = [
        one.name,
        one.shape,
        f"{one.parameters:.2f} M",
        f"{one.megabytes:.2f} MB",
        _cell(one, reasons),
    ]
    return "| " + " | ".join(cells) + " |"


HEAD = """# Networks that come through

Made by `benchmarks/networks.py`; {versions}, PyTorch {torch}, {runtime},
one thread. Weights and data are random, and each network was trained for {steps} steps. The table shows whether every
layer has an integer form and whether the file computes what the interpreter does, not how accurate a network is.
Networks are quantized to W8A8 and exported in the `integer` form.

Classifiers of torchvision and timm that come through, of those that were run: {counts}.
Networks written by hand: {own}. The others are refused, in one line with the path of the layer.

A number is that of the integer activations that were compared with the interpreter's, on {images};
on {by_hand} inputs for networks written by hand. In **{equal}** files every activation and every top-1 answer
equals the interpreter's; where something differs, the table states it.

| from | network | parameters | file | 32 x 32 | 64 x 64 | 224 x 224 |
| --- | --- | ---: | ---: | ---: | ---: | ---: |
"""
OWN_HEAD = """

| written by hand | input | parameters | file | compared |
| --- | --- | ---: | ---: | ---: |
"""


if __name__ == "__main__":
    main()
