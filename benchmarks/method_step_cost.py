"""What each iterative method costs beside the passes that it cannot do without, as ratios within one run.

The floor of a method is what its own forward and backward passes cost in plain fine-tuning: every image that
it passed with gradients at the price of an image in a fine-tuning step, every other at the price of a
prediction. Images are counted by a hook, once; setting up, masks and evaluations are all inside.

    python benchmarks/method_step_cost.py [--rounds 5] [--networks convnet resnet20]

Candidates take turns in every round; a ratio is taken within a round, and the table gives median and range.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from torch import fx, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from obliq import Run, build, quantize
from obliq.data import Collection, PartitionRule, Splits, partition
from obliq.methods import BUILT_IN, FineTune, Method
from obliq.quantization import calibrate
from obliq.training import predict

TABLE = Path(__file__).parent / "results" / "method_step_cost.md"
SHAPES = {"convnet": (1, 28, 28), "resnet20": (3, 32, 32)}
NOT_ITERATIVE = ("influence", "retrain", "selective-dampening")
FORGET, BATCH, GOAL = 128, 64, 1.10
CPU = torch.device("cpu")


def world(name: str) -> tuple[nn.Module, Splits]:
    """A quantized network and noise to train it on; what is learned does not matter to the cost."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(800, *SHAPES[name], generator=generator)
    parts = partition(
        Collection("noise", inputs, torch.arange(800) % 10), PartitionRule(seed=0, holdout=0.16, test=0.2)
    )
    network = quantize(build(name, SHAPES[name], 10), "W4A4")
    calibrate(network, inputs[:BATCH])
    return network, parts.forgetting(parts.train.indices[:FORGET], salt=b"0" * 32)


def method(kind: type[Method]) -> Method:
    """One epoch, all batches of one size, nothing recorded."""
    wanted = {
        "epochs": 1,
        "batch_size": BATCH,
        "retain_batch": BATCH,
        "forget_batch": BATCH,
        "record_every": 0,
    }
    fields = kind.__dataclass_fields__  # type: ignore[attr-defined]
    return kind(**{name: value for name, value in wanted.items() if name in fields})


@contextmanager
def counted() -> Iterator[dict[bool, int]]:
    """How many images pass through whole networks, with gradients (True) and without (False)."""
    images = {True: 0, False: 0}

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if isinstance(module, fx.GraphModule):
            images[torch.is_grad_enabled()] += len(inputs[0])

    hook = register_module_forward_pre_hook(count)
    try:
        yield images
    finally:
        hook.remove()


def seconds(work: Callable[[], object]) -> float:
    """Processor time."""
    started = time.process_time()
    work()
    return time.process_time() - started


def lines_for(name: str, rounds: int) -> list[str]:
    """The table rows of one network."""
    network, splits = world(name)
    methods = {key: method(kind) for key, kind in BUILT_IN.items() if key not in NOT_ITERATIVE}
    passes: dict[str, dict[bool, int]] = {}
    for key, candidate in methods.items():
        with counted() as images:
            candidate.unlearn(network, splits, Run())
        passes[key] = images
    ratios: dict[str, list[float]] = {key: [] for key in methods}
    for _ in range(rounds):
        trained = seconds(lambda: method(FineTune).unlearn(network, splits, Run())) / len(splits.retain)
        predicted = seconds(lambda: predict(network, splits.retain, CPU)) / len(splits.retain)
        for key, candidate in methods.items():
            floor = passes[key][True] * trained + passes[key][False] * predicted
            ratios[key].append(seconds(partial(candidate.unlearn, network, splits, Run())) / floor)
    return [
        f"| {name} | {key} | {passes[key][True]} + {passes[key][False]} | {statistics.median(found):.2f} "
        f"({min(found):.2f} to {max(found):.2f}) | {GOAL:.2f} |"
        for key, found in ratios.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--networks", nargs="*", choices=list(SHAPES), default=list(SHAPES))
    given = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "# Cost of an epoch of each method beside its own passes, as ratios of processor time within one run",
        "",
        f"Median over {given.rounds} rounds (range); W4A4, batches of {BATCH}, {FORGET} images forgotten, three "
        "times as many retained. "
        f"PyTorch {torch.__version__}, one thread. Passes: images with + without gradients.",
        "",
        "| network | method | passes | time / floor | goal, at most |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in given.networks:
        lines += lines_for(name, given.rounds)
        TABLE.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
