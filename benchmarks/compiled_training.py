"""After how many steps compiled training has earned back its compilation, within one run.

    python benchmarks/compiled_training.py [--networks strided-convnet] [--batch 64] [--rounds 15]

Compiling starts from an empty cache. Plain and compiled passes take turns in every round on the same network and
images; processor time (of the compiler's processes too), so that other work on the machine matters less. The
optimizer's part of a step is the same in both and is left out.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from obliq.models import build_model, initialise
from obliq.quantization import calibrate_steps, quantize
from obliq.run import Run
from obliq.training.loop import forward_function, move_to_device

TABLE = Path(__file__).parent / "results" / "compiled_training.md"
SHAPES = {
    "strided-convnet": (1, 28, 28),
    "convnet": (1, 28, 28),
    "resnet20": (3, 32, 32),
    "resnet18": (3, 32, 32),
}


def processor() -> float:
    """Seconds of processor time, finished children included."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def seconds(work: Callable[[], object]) -> float:
    started = processor()
    work()
    return processor() - started


def line_for(name: str, batch: int, rounds: int) -> str:
    """The table row of one network."""
    shape = SHAPES[name]
    inputs = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(0))
    inputs, labels = inputs.contiguous(memory_format=torch.channels_last), torch.arange(batch) % 10
    network = quantize(build_model(name, shape, 10), "W4A4")
    initialise(network, 0)
    calibrate_steps(network, inputs)
    network = move_to_device(network, Run()).train()
    parameters = list(network.parameters())
    compiled = forward_function(network, Run(compile=True), batch)

    def passes(forward: Callable[[Tensor], Tensor], count: int = 5) -> None:
        for _ in range(count):
            torch.autograd.grad(F.cross_entropy(forward(inputs), labels), parameters)

    started = time.perf_counter()
    compiling = seconds(lambda: passes(compiled, 1))
    elapsed = time.perf_counter() - started
    passes(network), passes(compiled)
    rows = [(seconds(lambda: passes(network)), seconds(lambda: passes(compiled))) for _ in range(rounds)]
    low, ratio, high = statistics.quantiles([fast / slow for slow, fast in rows], n=4)
    saved = statistics.median(slow - fast for slow, fast in rows) / 5
    needed = f"{compiling / saved:,.0f}" if saved > 0 else "never"
    return (
        f"| {name} | {batch} | {compiling:.0f} s ({elapsed:.0f} s) "
        f"| {1000 * statistics.median(slow for slow, _ in rows) / 5:.1f} ms "
        f"| {ratio:.2f} ({low:.2f} to {high:.2f}) | {needed} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--networks", nargs="*", choices=list(SHAPES), default=["strided-convnet"])
    given = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "# Compiled training: steps until the compilation is earned back",
        "",
        f"W4A4, one thread, PyTorch {torch.__version__}; processor time within one run, median of {given.rounds} "
        "rounds (middle half). Compilation from an empty cache: processor time, and in brackets what passed on the "
        "wall of a machine that was busy with other work.",
        "",
        "| network | batch | compilation | plain pass | compiled / plain | steps to break even |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        for name in given.networks:
            lines.append(line_for(name, given.batch, given.rounds))
            print(lines[-1], flush=True)
    TABLE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
