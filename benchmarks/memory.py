"""The memory that unlearning takes on a processor, start of Python and PyTorch included.

    python benchmarks/memory.py

Each case runs in a process of its own, on random images, since memory does not depend on what they show. It takes some
minutes, on one thread. Writes results/memory.md.
"""

import json
import subprocess
import sys
from pathlib import Path

TABLE = Path(__file__).parent / "results" / "memory.md"
GOAL = 2048  # MiB, for ResNet-18 on images of CIFAR's size
TRAIN, HOLDOUT, FORGET = 256, 64, 32
CASES = (
    ("resnet18", 32, "calibrated"),
    ("resnet18", 32, "calibrated-holdout"),
    ("resnet18", 32, "proxy-matching"),
    ("resnet18", 64, "calibrated"),
    ("mobilenetv2", 32, "calibrated"),
)

INTRODUCTION = """\
# Memory of unlearning on a processor

Written by `benchmarks/memory.py` with PyTorch {torch}, one thread. The largest resident memory of a process that
makes a W4A4 network forget {forget} of {train} random colour images, by one pass with the method's default batches. It
holds Python and PyTorch, which take {start:,} MiB before any network exists, and the images. The goal was at most
{goal:,} MiB for ResNet-18 on images of 32 x 32: {verdict}.

| network | images | method | MiB | MiB above the start |
| --- | --- | --- | ---: | ---: |
"""

CHILD = """
import json, resource, sys
import torch
import obliq
from obliq.methods import available_methods
network, size, method, train, holdout, forget = json.loads(sys.argv[1])
torch.set_num_threads(1)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
start = peak()
if network:
    draws = torch.Generator().manual_seed(0)
    def images(count):
        return torch.rand(count, 3, size, size, generator=draws), torch.randint(0, 10, (count,), generator=draws)
    inputs, labels = images(train)
    model = obliq.create_network(network, (3, size, size), 10, precision="W4A4")
    obliq.calibrate(model, (inputs[:32], labels[:32]))
    kind = available_methods()[method]
    fields = {"epochs": 1, "rounds": 1, "record_every": 0, "restarts": 0}
    if method == "proxy-matching":
        fields = {"rounds": 1, "proxies": 1, "proxy_epochs": 1}
    known = {name: value for name, value in fields.items() if name in kind.__dataclass_fields__}
    obliq.unlearn(
        model.eval(),
        forget=(inputs[:forget], labels[:forget]),
        retain=(inputs[forget:], labels[forget:]),
        holdout=images(holdout),
        method=kind(**known),
        accept=True,
        progress=False,
    )
print(json.dumps([start, peak(), torch.__version__]))
"""


def measured(network: str, size: int, method: str) -> tuple[int, int, str]:
    """MiB before any network and at most, and PyTorch's version."""
    given = json.dumps([network, size, method, TRAIN, HOLDOUT, FORGET])
    done = subprocess.run([sys.executable, "-c", CHILD, given], check=True, capture_output=True, text=True)
    start, most, torch = json.loads(done.stdout.splitlines()[-1])
    return start, most, torch


def main() -> None:
    """Measure, and write the table."""
    start, _, torch = measured("", 0, "")
    lines, largest = [], 0
    for network, size, method in CASES:
        _, most, _ = measured(network, size, method)
        if network == "resnet18" and size == 32:
            largest = max(largest, most)
        lines.append(f"| {network} | {size} x {size} | {method} | {most:,} | {most - start:,} |")
        print(lines[-1], flush=True)
    verdict = f"met, {largest:,} at most" if largest <= GOAL else f"missed, {largest:,}"
    head = INTRODUCTION.format(
        torch=torch, forget=FORGET, train=TRAIN, start=start, goal=GOAL, verdict=verdict
    )
    TABLE.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
