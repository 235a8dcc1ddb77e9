"""Training speed next to FP32, and the memory of unlearning, on an accelerator. No results are committed yet.

    python benchmarks/accelerator.py [--networks resnet18 mobilenetv2] [--images 45000] [--epochs 4] [--skip-memory]

1. `fit` on random images of CIFAR's size with crops and flips: W4A4 next to FP32, in float32 and bfloat16, plain and
   compiled. The first epoch, which compiles, is left out. Goals: W4A4 takes at most 1.25 times as long as FP32, and an
   epoch of ResNet-18 on 45,000 images at most 4 s on an H100.
2. The most memory that a run of unlearning takes on the device, for ResNet-50 of torchvision on 224 x 224 pixels (it
   must be installed). Goal: at most 8 GB.

Needs some minutes on one GPU. With `--device cpu` and few images it shows whether everything runs; a processor does
not count memory. Writes results/accelerator.md, or prints only where `--device` is not cuda.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

import obliq
from obliq.benchmark.result_files import describe_machine
from obliq.data import Collection, Examples, PartitionRule, partition
from obliq.methods import Calibrated, Method, ProxyMatching
from obliq.run import Run, device_named
from obliq.training.loop import Recipe, fit

TABLE = Path(__file__).parent / "results" / "accelerator.md"
RATIO, EPOCH_SECONDS, MEMORY = 1.25, 4.0, 8.0
SIZE, CLASSES, BATCH = 32, 10, 256
BITS = ("FP32", "W4A4")
FEWEST = 2  # epochs
LARGE, LARGE_IMAGES = 224, 400

INTRODUCTION = """\
# Training and unlearning on an accelerator

Written by `benchmarks/accelerator.py` with PyTorch {torch} on {device}. Random images, batches of {batch} with crops
and flips; median of {epochs} epochs after the first. Goals: at most {ratio} times the time of FP32, and at most
{seconds:g} s for an epoch of ResNet-18 at W4A4 on 45,000 images.

| network | precision | compiled | FP32: images/s | W4A4: images/s | time, W4A4 / FP32 | W4A4: s per epoch | W4A4: MiB |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |
"""
MEMORY_HEAD = """
One pass of unlearning over {images} images of {size} x {size} with ResNet-50 at W4A4 and each method's own batches.
Goal: at most {goal:g} GB.

| method | precision | GB |
| --- | --- | ---: |
"""


@dataclass
class EpochTimes:
    """A listener that keeps when each epoch ended; its values have been read by then, so the device has finished."""

    ends: list[float] = field(default_factory=list)

    def __call__(self, stage: str, step: int, of: int, values: Mapping[str, float]) -> None:
        """Note the time."""
        self.ends.append(time.perf_counter())

    @property
    def seconds(self) -> float:
        """Of an epoch after the first."""
        return statistics.median(end - start for start, end in itertools.pairwise(self.ends))


def noise(images: int, size: int) -> Examples:
    """Random images in memory."""
    draws = torch.Generator().manual_seed(0)
    inputs = torch.randint(0, 256, (images, 3, size, size), generator=draws, dtype=torch.uint8)
    labels = torch.arange(images) % CLASSES
    collection = Collection("noise", inputs, labels, mean=(0.5,) * 3, deviation=(0.25,) * 3)
    return Examples(collection, torch.arange(images))


def most_memory(device: torch.device) -> float:
    """MiB that tensors took at most since the last call; NaN on a processor."""
    if device.type != "cuda":
        return float("nan")
    most = torch.cuda.max_memory_allocated(device) / 2**20
    torch.cuda.reset_peak_memory_stats(device)
    return most


def training(given: argparse.Namespace, device: torch.device) -> Iterator[str]:
    """A row for each network, precision, and plain and compiled code."""
    examples = noise(given.images, SIZE)
    recipe = Recipe(epochs=given.epochs, learning_rate=0.01, batch_size=BATCH, augment=True)
    for network, autocast, compiled in itertools.product(given.networks, (False, True), (False, True)):
        seconds = {}
        for bits in BITS:
            model = obliq.create_network(network, (3, SIZE, SIZE), CLASSES, precision=bits)
            times = EpochTimes()
            most_memory(device)
            fit(
                model, examples, recipe, Run(device=device, autocast=autocast, compile=compiled, listen=times)
            )
            seconds[bits] = times.seconds
        plain, quantized = (seconds[bits] for bits in BITS)
        yield (
            f"| {network} | {'bfloat16' if autocast else 'float32'} | {'yes' if compiled else 'no'} "
            f"| {given.images / plain:,.0f} | {given.images / quantized:,.0f} | {quantized / plain:.2f} "
            f"| {quantized:.1f} | {most_memory(device):,.0f} |"
        )


def unlearning(given: argparse.Namespace, device: torch.device) -> Iterator[str]:
    """A row for each method and precision."""
    from torchvision.models import resnet50

    parts = partition(noise(given.large_images, LARGE).collection, PartitionRule(holdout=0.1, test=0.1))
    splits = parts.forgetting(parts.train.take(len(parts.train) // 5).indices, salt=b"0" * 32)
    methods: dict[str, Method] = {
        "calibrated": Calibrated(epochs=1, rounds=1, restarts=0, record_every=0),
        "proxy-matching": ProxyMatching(
            epochs=1, rounds=1, proxies=1, proxy_epochs=1, restarts=0, record_every=0
        ),
    }
    for name, autocast in itertools.product(methods, (False, True)):
        model = obliq.quantize(resnet50(num_classes=CLASSES), "W4A4")
        obliq.calibrate(model, parts.train.take(32))
        most_memory(device)
        methods[name].unlearn(model.eval(), splits, Run(device=device, autocast=autocast))
        yield f"| {name} | {'bfloat16' if autocast else 'float32'} | {most_memory(device) / 1024:.1f} |"


def main() -> None:
    """Measure, print, and write the tables of an accelerator."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--networks", nargs="+", default=["resnet18", "resnet20", "mobilenetv2"])
    parser.add_argument("--images", type=int, default=45_000)
    parser.add_argument("--large-images", type=int, default=LARGE_IMAGES)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument(
        "--skip-memory", action="store_true", help="leave out ResNet-50, which needs torchvision"
    )
    given = parser.parse_args()
    if given.epochs < FEWEST:
        parser.error(f"--epochs {given.epochs}; expected at least {FEWEST}, since the first one is left out")
    device = device_named(given.device)
    described = describe_machine(device.type)
    text = INTRODUCTION.format(
        torch=torch.__version__,
        device=described.get("accelerator", described["processor"]),
        batch=BATCH,
        epochs=given.epochs - 1,
        ratio=RATIO,
        seconds=EPOCH_SECONDS,
    )
    for row in training(given, device):
        print(row, flush=True)
        text += row + "\n"
    if not given.skip_memory:
        text += MEMORY_HEAD.format(images=given.large_images, size=LARGE, goal=MEMORY)
        for row in unlearning(given, device):
            print(row, flush=True)
            text += row + "\n"
    if device.type == "cuda":
        TABLE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
