"""What a step costs, as ratios within one run: machines are noisy, absolute speeds mean little.

1. A training step of a quantized network against the same network in FP32, both channels_last.
2. A step of orthogonal entropy unlearning (a retain and a forget batch, two passes) against a fine-tuning
   step of the same quantized network over the same images in one batch.

    python benchmarks/step_cost.py [--rounds 15] [--threads 1]

Candidates take turns in every round; a ratio is taken within a round, and the table gives the median over
rounds with the middle half.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from obliq import OrthogonalEntropy, Run, build, quantize
from obliq.paired_descent import PairedDescent
from obliq.quantization import calibrate, keep_steps_positive_, steps
from obliq.surgery import negative_entropy
from obliq.training import decayed_groups

TABLE = Path(__file__).parent / "results" / "step_cost.md"
NETWORKS = {"resnet20": (128, 1.25), "resnet18": (32, 1.15), "mobilenetv2": (64, None)}
OEU_GOAL = 1.08
SHAPE, CLASSES = (3, 32, 32), 10
Step = Callable[[], object]


def descent(model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> Step:
    """An ordinary step of training or fine-tuning."""
    optimizer = torch.optim.SGD(decayed_groups(model, 5e-4), lr=1e-4, momentum=0.9, foreach=True)
    learned = steps(model)

    def step() -> None:
        loss = F.cross_entropy(model(inputs), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        keep_steps_positive_(learned)
        loss.item()

    return step


def paired(model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor, method: OrthogonalEntropy) -> Step:
    """A step of orthogonal entropy unlearning on the two halves of the same images."""
    state = PairedDescent.start(model, frozen_grid=False, run=Run())
    half = len(inputs) // 2
    positions = torch.arange(half)
    retain = (inputs[:half].contiguous(memory_format=torch.channels_last), labels[:half], positions)
    forget = (inputs[half:].contiguous(memory_format=torch.channels_last), labels[half:], positions)

    def forget_loss(logits: torch.Tensor, labels: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        return negative_entropy(logits)

    return lambda: method.step(state, retain, forget, forget_loss, 1e-4, Run())


def measure(candidates: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Seconds of processor time of each candidate in each round, after one round to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(rounds + 1):
        for name, step in candidates.items():
            started = time.process_time()
            step()
            if number:
                seconds[name].append(time.process_time() - started)
    return seconds


def compared(seconds: dict[str, list[float]], name: str, floor: str) -> str:
    """The ratio of two candidates, taken within each round: median and middle half."""
    ratios = [a / b for a, b in zip(seconds[name], seconds[floor], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def lines_for(name: str, rounds: int) -> list[str]:
    """The table rows of one network."""
    batch, goal = NETWORKS[name]
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(batch, *SHAPE, generator=generator).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(CLASSES, (batch,), generator=generator)
    plain = build(name, SHAPE, CLASSES).to(memory_format=torch.channels_last).train()
    quantized = quantize(plain, "W4A4")
    calibrate(quantized, inputs)
    frozen = {"batch_norm": "frozen", "record_every": 0}
    following = {"batch_norm": "retain", "record_every": 0}
    seconds = measure(
        {
            "fp32": descent(plain, inputs, labels),
            "lsq": descent(quantized, inputs, labels),
            "oeu frozen": paired(copy.deepcopy(quantized), inputs, labels, OrthogonalEntropy(**frozen)),
            "oeu retain": paired(copy.deepcopy(quantized), inputs, labels, OrthogonalEntropy(**following)),
        },
        rounds,
    )
    wanted = f"{goal:.2f}" if goal else "-"
    return [
        f"| {name}, batch {batch} | LSQ W4A4 / FP32 | {compared(seconds, 'lsq', 'fp32')} | {wanted} |",
        f"| {name}, {batch // 2} + {batch // 2} | OEU, batch norm frozen / fine-tune "
        f"| {compared(seconds, 'oeu frozen', 'lsq')} | {OEU_GOAL} |",
        f"| {name}, {batch // 2} + {batch // 2} | OEU, batch norm retain / fine-tune "
        f"| {compared(seconds, 'oeu retain', 'lsq')} | {OEU_GOAL} |",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    lines = [
        "# Cost of a step, as ratios of processor time within one run",
        "",
        f"Median over {given.rounds} rounds (middle half). PyTorch {torch.__version__}, {given.threads} thread(s).",
        "",
        "| network | step / floor | ratio | goal, at most |",
        "| --- | --- | --- | --- |",
    ]
    for name in given.networks:
        lines += lines_for(name, given.rounds)
        print("\n".join(lines[-3:]), flush=True)
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
