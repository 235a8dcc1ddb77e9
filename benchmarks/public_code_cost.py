"""What our methods cost next to the public code of MU-Q-MUL and SalUn: processor time and memory, on one thread.

    python benchmarks/public_code_cost.py --q-mul DIR --salun DIR [--rounds 5]

The folders are those of `public_code.py`. The public code runs twice: on our quantized network, and on one whose
quantized layers are those of MU-Q-MUL, in the same places with the same bits. All take turns in every round, in one
process. Memory is that of a process for each run, as in `memory.py`. Takes a quarter of an hour on a processor core.
Writes results/public_code_cost.md.
"""

import argparse
import copy
import json
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import nn

from obliq.benchmark.result_files import describe_machine
from obliq.methods import salun
from obliq.quantization.layers import activations, weighted_layers
from obliq.run import Run
from obliq.training.masks import saliency_mask
from public_code import SHARE, pairs, their_descent
from public_code_modules import (
    Q_MUL,
    SALUN,
    add_checkouts,
    commit_of,
    public_modules,
    same_draws,
    their_modules,
)
from step_cost import seconds, spread, world

TABLE = Path(__file__).parent / "results" / "public_code_cost.md"
NETWORK, EPOCHS, BATCH, FEW = "resnet20", 2, 64, 2
LAYERS = "models.lsq_layer"  # of MU-Q-MUL
PROCESSES = 3  # for each memory
FASTER, SMALLER = 2.0, 0.5  # the goal
LAYERS_TOO, LOOP_ALONE, OURS = "its layers", "our layers", "ours"
SIDES = (LAYERS_TOO, LOOP_ALONE, OURS)
STEPS = {
    "fine-tune": 2,
    "gradient-ascent": 1,
    "random-label, sequential": 3,
    "q-mul, random labels, sequential": 3,
    "q-mul, similar labels, sequential": 3,
    "salun, sequential": 3,
}
"""The steps of one epoch of each pair that is measured. Mixed batches hold the same images in as many steps."""

INTRODUCTION = """\
# Cost next to public code

Written by `benchmarks/public_code_cost.py` with torch {torch}, MU-Q-MUL at commit {q_mul} and Unlearn-Saliency at
{salun}, on one thread of {machine} that also did other work. ResNet-20 at W4A4 forgets {batch} of
{train} random images of 3 x 32 x 32 in {epochs} epochs, with batches of {batch}. Both sides take the same batches.

- **Its layers**: the public code on this network with the quantized layers of MU-Q-MUL in the same places, with the
  same bits. They have one learned step a layer, ours one an output. **Our layers**: the public code's loop on our
  network. **Ours**: our method as shipped. It stores images with the channels last, the public code with them first.
  MU-Q-MUL's own network, a ResNet-18 with more layers, was not measured.
- **Seconds** of processor time for one step of the optimizer: those of a run divided by its steps, the median of
  {rounds} rounds. Q-MUL's steps contain its passes that only measure gradients and choose labels.
- **Faster**: the public code's seconds divided by ours in the same round, median (range). Above 1, ours is faster.
- **Memory** in MiB: the largest resident memory of a process of its own, less that after the same run with {few}
  images a batch, the median of {processes} processes. What is subtracted is {least} to {most}: Python, PyTorch and all
  that a first step loads. The share is ours of the public code's. Of the memory with that part, ours is {lowest:.2f} to
  {highest:.2f} of the public code's with its layers.
- **Included**: batches from images in memory (the public code with PyTorch's `DataLoader` and no workers), the copy of
  the network, optimizer and schedule.
- **Left out**: decoding and augmentation of images, evaluation, the mask of SalUn, and in the public code the training
  accuracy for its log and the random dropping of input values.

The goal, set for a GPU, is {faster:g} times as fast with {smaller:g} of the memory. It has not been measured on a GPU.
On this processor:

{verdict}

| method | seconds: {sides} | faster: its layers | our layers | memory: {sides} | share: its layers | our layers |
| --- | --- | --- | --- | --- | ---: | ---: |
"""


def with_their_layers(network: nn.Module, layers: Any, inputs: torch.Tensor) -> nn.Module:
    """A copy whose quantized layers are the public code's, in the same places with the same bits."""
    copied = copy.deepcopy(network)
    for name, layer in weighted_layers(copied).items():
        bias = layer.bias is not None
        if isinstance(layer, nn.Conv2d):
            place = {"stride": layer.stride, "padding": layer.padding}
            sizes = (layer.in_channels, layer.out_channels, layer.kernel_size)
            theirs = layers.Conv2dLSQ(*sizes, **place, bias=bias, nbits=layer.bits)
        else:
            theirs = layers.LinearLSQ(layer.in_features, layer.out_features, bias=bias, nbits=layer.bits)
        with torch.no_grad():
            theirs.weight.copy_(layer.weight)
        copied.set_submodule(name, theirs)
    for name, quantizer in activations(copied).items():
        copied.set_submodule(name, layers.ActLSQ(nbits=quantizer.bits, signed=quantizer.signed))
    with torch.no_grad():
        copied.train()(inputs)  # sets the learned steps
    return copied


def work(given: argparse.Namespace, name: str, side: str, batch: int) -> Callable[[], object]:
    """One run of a side of a pair, without what is left out."""
    pair = next(one for one in pairs(epochs=EPOCHS, batch=batch) if one.name == name)
    network, splits = world(NETWORK, batch)
    if side == OURS:

        def ours() -> object:
            return pair.shipped.unlearn(network, splits, Run())

        if pair.repository == SALUN:
            mask = saliency_mask(network, splits.forget, share=SHARE, batch_size=batch, run=Run())
            ours = mock.patch.object(salun, "saliency_mask", mock.Mock(return_value=mask))(ours)
        return same_draws()(ours)
    if side == LAYERS_TOO:
        layers = public_modules(given.q_mul, Q_MUL, LAYERS)[LAYERS]
        network = with_their_layers(network, layers, splits.retain.inputs()[:batch])
    modules = their_modules(given)[pair.repository]
    with same_draws():
        descent = their_descent(pair, modules, network, splits, rate=pair.rate, epochs=EPOCHS, batch=batch)
    return same_draws()(lambda: descent(copy.deepcopy(network).train()))


def peak() -> int:
    """The largest resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def memory(given: argparse.Namespace, name: str, side: str) -> tuple[int, int]:
    """MiB of processes of their own that run a side, and how much of them came with full batches; medians."""
    words = [sys.executable, __file__, "--q-mul", str(given.q_mul), "--salun", str(given.salun)]
    found = []
    for _ in range(PROCESSES):
        done = subprocess.run([*words, "--memory-of", name, side], check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    whole, rise = (statistics.median(one) for one in zip(*found, strict=True))
    return int(whole), int(rise)


def own_memory(given: argparse.Namespace) -> tuple[int, int]:
    """The same of this process."""
    name, side = given.memory_of
    work(given, name, side, FEW)()
    start = peak()
    work(given, name, side, BATCH)()
    return peak(), peak() - start


def times(given: argparse.Namespace, name: str) -> dict[str, list[float]]:
    """Seconds a step of each side, by rounds."""
    sides = {side: work(given, name, side, BATCH) for side in SIDES}
    for one in sides.values():
        one()
    found: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(given.rounds):
        for side, one in sides.items():
            found[side].append(seconds(one) / (EPOCHS * STEPS[name]))
    return found


def verdict(faster: dict[str, list[float]], share: dict[str, list[float]]) -> str:
    """How far from the goal the medians of the rows are."""
    lines = []
    for side, name in ((LAYERS_TOO, "MU-Q-MUL's layers"), (LOOP_ALONE, "our layers")):
        pace, room = faster[side], share[side]
        quick = "met" if min(pace) >= FASTER else "missed"
        small = "met" if max(room) <= SMALLER else "missed"
        lines.append(
            f"- Next to the public code on {name}: time {quick}, {min(pace):.2f} to {max(pace):.2f} times as fast; "
            f"memory {small}, {min(room):.2f} to {max(room):.2f}."
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add_checkouts(parser)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--memory-of", nargs=2, metavar=("PAIR", "SIDE"), help="print the memory of one run in MiB"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.memory_of:
        print(json.dumps(own_memory(given)))
        return
    # Memory comes first: a process starts with the peak of the one that started it.
    taken = {name: {side: memory(given, name, side) for side in SIDES} for name in STEPS}
    lines = []
    faster: dict[str, list[float]] = {LAYERS_TOO: [], LOOP_ALONE: []}
    share: dict[str, list[float]] = {LAYERS_TOO: [], LOOP_ALONE: []}
    for name in STEPS:
        found, rises = times(given, name), {side: rise for side, (_, rise) in taken[name].items()}
        ratios = {side: [a / b for a, b in zip(found[side], found[OURS], strict=True)] for side in faster}
        for side in faster:
            faster[side].append(statistics.median(ratios[side]))
            share[side].append(rises[OURS] / rises[side])
        steps = ", ".join(f"{statistics.median(found[side]):.3f}" for side in SIDES)
        lines.append(
            f"| {name} | {steps} | {' | '.join(spread(one) for one in ratios.values())} "
            f"| {', '.join(str(rises[side]) for side in SIDES)} "
            f"| {' | '.join(f'{one[-1]:.2f}' for one in share.values())} |"
        )
        print(lines[-1], flush=True)
    starts = [whole - rise for sides in taken.values() for whole, rise in sides.values()]
    whole = [sides[OURS][0] / sides[LAYERS_TOO][0] for sides in taken.values()]
    head = INTRODUCTION.format(
        torch=torch.__version__,
        q_mul=commit_of(given.q_mul),
        salun=commit_of(given.salun),
        machine="{processor} ({machine})".format_map(describe_machine("cpu")),
        batch=BATCH,
        train=3 * BATCH,
        epochs=EPOCHS,
        rounds=given.rounds,
        faster=FASTER,
        smaller=SMALLER,
        sides=", ".join(SIDES),
        verdict=verdict(faster, share),
        few=FEW,
        processes=PROCESSES,
        least=min(starts),
        most=max(starts),
        lowest=min(whole),
        highest=max(whole),
    )
    TABLE.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
