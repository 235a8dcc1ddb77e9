"""Gradients of single samples: one pass over a block of them against one pass a sample, as ratios.

    python benchmarks/per_sample_cost.py [--rounds 5] [--networks convnet resnet20]

Both take turns in every round on the same samples; the ratio is taken within a round, of processor time, and
the table gives median and range. The gradients' matrix itself is made by both.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from obliq.data import Collection, Examples
from obliq.data.batches import batches
from obliq.models import build_model
from obliq.quantization import calibrate_steps, quantize
from obliq.run import Run
from obliq.training.per_sample import one_by_one, per_sample_gradients

TABLE = Path(__file__).parent / "results" / "per_sample_cost.md"
NETWORKS = {
    "convnet": ((1, 28, 28), 64),
    "strided-convnet": ((1, 28, 28), 64),
    "resnet20": ((3, 32, 32), 32),
    "mobilenetv2": ((3, 32, 32), 16),
    "resnet18": ((3, 32, 32), 8),
}
CPU = torch.device("cpu")


def seconds(work: Callable[[], object]) -> float:
    """Processor time."""
    started = time.process_time()
    work()
    return time.process_time() - started


def line_for(name: str, rounds: int) -> str:
    """The table row of one network."""
    shape, samples = NETWORKS[name]
    generator = torch.Generator().manual_seed(0)
    examples = Examples(
        Collection("noise", torch.randn(samples, *shape, generator=generator), torch.arange(samples) % 10),
        torch.arange(samples),
    )
    network: nn.Module = quantize(build_model(name, shape, 10), "W4A4")
    calibrate_steps(network, examples.inputs())
    network = network.to(memory_format=torch.channels_last).eval()
    parameters = list(network.parameters())
    inputs, labels = next(batches(examples, samples, None, CPU))

    def blocks() -> None:
        for _ in per_sample_gradients(network, parameters, examples, Run()):
            pass

    def loop() -> None:
        one_by_one(network, parameters, inputs, labels)

    ratios = []
    for number in range(rounds + 1):
        by_loop, by_blocks = seconds(loop), seconds(blocks)
        if number:  # the first round warms up
            ratios.append(by_loop / by_blocks)
    size = sum(parameter.numel() for parameter in parameters)
    return (
        f"| {name} | {size:,} | {samples} | {statistics.median(ratios):.1f} "
        f"({min(ratios):.1f} to {max(ratios):.1f}) |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--networks", nargs="*", choices=list(NETWORKS), default=list(NETWORKS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "# Gradients of single samples: how many times faster in blocks than one by one",
        "",
        f"Ratio of processor time within one run, median over {given.rounds} rounds (range); W4A4. "
        f"PyTorch {torch.__version__}, one thread.",
        "",
        "| network | parameters | samples | one by one / in blocks |",
        "| --- | --- | --- | --- |",
    ]
    for name in given.networks:
        lines.append(line_for(name, given.rounds))
        print(lines[-1], flush=True)
    TABLE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
