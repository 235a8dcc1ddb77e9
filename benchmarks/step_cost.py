"""What steps cost, as ratios of processor time within one run: machines are noisy, absolute speeds mean little.

1. A training step of a quantized network against the same network in FP32, both channels_last.
2. Each iterative method against its own floor: what its passes would cost in plain fine-tuning of the same
   quantized network, every image that it passes with gradients at the price of an image in a fine-tuning step,
   every other at the price of a prediction. A hook counts the images. Steady epochs are what is compared; what
   comes once, before the first epoch, stands apart, in epochs.

    python benchmarks/step_cost.py [--networks resnet20 ...] [--methods oeu ...] [--rounds 3] [--keep-memory]

After each pass the C library gives memory back to the system, and the next pass has it mapped anew, page by page: time
in the kernel, which was found to be all of OEU's excess over its floor. `--keep-memory` measures without it (glibc).
All rows, on an idle machine:
    for keep in "" --keep-memory; do
      python benchmarks/step_cost.py --networks convnet resnet20 --batch 64 --rounds 7 --training $keep
      python benchmarks/step_cost.py --networks resnet18 --batch 16 --methods fine-tune oeu --training $keep
    done

A class is forgotten, so that no method stops early. Everybody takes turns in every round, the floor before and after
each method; tables give the median over rounds and their range. Rows that are not asked for stay as they are.
"""

import argparse
import copy
import dataclasses
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from obliq.data import Collection, Examples, Partition, PartitionRule, Splits
from obliq.methods import BUILT_IN, Method
from obliq.models import build_model
from obliq.quantization import calibrate_steps, keep_steps_near_, learned_steps, quantize
from obliq.run import Run, keep_memory
from obliq.training.loop import move_to_device, parameter_groups

RESULTS = Path(__file__).parent / "results" / "step_cost"
SHAPES = {
    "convnet": (1, 28, 28),
    "resnet20": (3, 32, 32),
    "resnet18": (3, 32, 32),
    "mobilenetv2": (3, 32, 32),
}
TRAINING_GOAL = {"resnet20": 1.25, "resnet18": 1.15}
GOAL, OEU_GOAL = 1.10, 1.08
NOT_ITERATIVE = ("influence", "retrain", "selective-dampening")
EPOCHS = 2
Step = Callable[[], object]


def descent(model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> Step:
    """An ordinary step of training or fine-tuning."""
    optimizer = torch.optim.SGD(parameter_groups(model, 5e-4), lr=1e-4, momentum=0.9, foreach=True)
    learned = learned_steps(model)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(inputs), labels)
        loss.backward()
        before = [one.detach().clone() for one in learned]
        optimizer.step()
        keep_steps_near_(learned, before)
        loss.item()

    return step


def prediction(model: nn.Module, inputs: torch.Tensor) -> Step:
    """A pass without gradients, by a network in evaluation mode."""
    model.eval()

    def step() -> None:
        with torch.no_grad():
            model(inputs)

    return step


def seconds(work: Step) -> float:
    """Processor time."""
    started = time.process_time()
    work()
    return time.process_time() - started


def world(name: str, batch: int) -> tuple[nn.Module, Splits]:
    """A quantized network and noise to train it on; what is learned does not matter to the cost.

    One batch is the class to forget, two are retained, one is held out: every batch is full. The class to forget is the
    one that the network answers least: with random weights it may answer a single one, and AMUN, which needs wrong
    answers, would find none near samples of that class.
    """
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    ids = torch.arange(5 * batch)
    images = torch.randn(5 * batch, *SHAPES[name], generator=generator)
    network = quantize(build_model(name, SHAPES[name], 10), "W4A4")
    calibrate_steps(network, images[:batch])
    with torch.no_grad():
        answered = network.eval()(images[:batch]).argmax(dim=1)
    forgotten = answered.bincount(minlength=10).argmin()
    labels = torch.where(ids < batch, forgotten, (forgotten + 1 + ids % 9) % 10)
    labels[3 * batch :] = ids[3 * batch :] % 10
    collection = Collection("noise", images, labels)
    train, holdout, test = (Examples(collection, part) for part in ids.split([3 * batch, batch, batch]))
    parts = Partition(rule=PartitionRule(), train=train, holdout=holdout, test=test)
    return network, parts.forgetting(ids[:batch], salt=b"0" * 32)


def method(name: str, batch: int) -> Method:
    """A few epochs, batches of one size, nothing recorded; the search for adversarial images is cut short."""
    kind = BUILT_IN[name]
    names = {one.name for one in dataclasses.fields(kind)}  # type: ignore[arg-type]
    wanted = {
        "epochs": EPOCHS,
        "forget_epochs": EPOCHS,
        "record_every": 0,
        "attack_steps": 1,
        "doublings": 1,
        "batch_size": batch,
        "retain_batch": batch,
        "forget_batch": batch,
    }
    return kind(**{name: value for name, value in wanted.items() if name in names})


@dataclass
class Epochs:
    """A listener that takes the time, and the images passed, at the middle and the end of the epochs."""

    images: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    marks: dict[str, tuple[float, int, int]] = field(default_factory=dict)

    def mark(self, name: str) -> None:
        """Remember this moment."""
        self.marks[name] = (time.process_time(), self.images[True], self.images[False])

    def __call__(self, stage: str, step: int, of: int, values: Mapping[str, float]) -> None:
        """Mark what the epochs divide."""
        if stage == "unlearn" and 2 * step == of and "middle" not in self.marks:
            self.mark("middle")
        if stage == "unlearn" and step == of:
            self.mark("end")

    @contextmanager
    def counting(self) -> Iterator[None]:
        """While this lasts, images that pass through whole networks are counted, by whether gradients are."""

        def count(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            if isinstance(module, fx.GraphModule):
                self.images[torch.is_grad_enabled()] += len(inputs[0])

        hook = register_module_forward_pre_hook(count)
        self.mark("start")
        try:
            yield
        finally:
            hook.remove()


def of_training(name: str, batch: int, rounds: int, memory: str) -> list[dict[str, object]]:
    """The cost of quantized training."""
    network, splits = world(name, batch)
    quantized = move_to_device(copy.deepcopy(network), Run()).train()
    plain = move_to_device(build_model(name, SHAPES[name], 10), Run()).train()
    inputs = splits.retain.inputs()[:batch]
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    labels = splits.retain.labels[:batch]
    one, other = descent(quantized, inputs, labels), descent(plain, inputs, labels)
    one(), other()
    ratios = [seconds(one) / seconds(other) for _ in range(rounds)]
    row = {"network": name, "method": "training, to FP32", "batch": batch, "memory": memory}
    return [row | {"ratios": ratios}]


def of_method(name: str, key: str, batch: int, rounds: int, memory: str) -> list[dict[str, object]]:
    """The cost of a method beside its floor."""
    network, splits = world(name, batch)
    inputs = splits.retain.inputs()[:batch].contiguous(memory_format=torch.channels_last)
    trained = descent(
        move_to_device(copy.deepcopy(network), Run()).train(), inputs, splits.retain.labels[:batch]
    )
    asked = prediction(move_to_device(copy.deepcopy(network), Run()), inputs)
    trained(), asked()
    ratios, once, passed = [], [], (0, 0)
    for _ in range(rounds):
        listener = Epochs()
        prices = [(seconds(trained), seconds(asked)) for _ in range(2)]
        with listener.counting():
            method(key, batch).unlearn(network, splits, Run(listen=listener))
        prices += [(seconds(trained), seconds(asked)) for _ in range(2)]
        start, middle, end = (listener.marks[mark] for mark in ("start", "middle", "end"))
        passed = (end[1] - middle[1], end[2] - middle[2])
        by_image = [statistics.mean(price) / batch for price in zip(*prices, strict=True)]
        floor = passed[0] * by_image[0] + passed[1] * by_image[1]
        epoch = end[0] - middle[0]
        ratios.append(epoch / floor)
        once.append((middle[0] - start[0]) / epoch - 1)
    row = {"network": name, "method": key, "batch": batch, "memory": memory}
    return [row | {"passes": passed, "ratios": ratios, "once": once}]


def spread(found: list[float]) -> str:
    return f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"


def described(name: str) -> str:
    """A network in one line of a list."""
    weights = sum(parameter.numel() for parameter in build_model(name, SHAPES[name], 10).parameters())
    return f"- {name}: {weights:,} weights, inputs of {' x '.join(map(str, SHAPES[name]))}"


def setting(row: dict[str, object]) -> str:
    """The first cells of a row."""
    return f"{row['network']} | {row['batch']} | {row['memory']}"


def table(rows: list[dict[str, object]]) -> str:
    """All that has been measured, as Markdown."""
    lines = [
        "# Cost of steps, as ratios of processor time within one run",
        "",
        f"Median over rounds (range); W4A4. PyTorch {torch.__version__}, one thread. Written by "
        "`benchmarks/step_cost.py`, whose head says what is compared. Memory: given back to the system by the C "
        "library as it likes, or kept.",
        "",
        *(described(name) for name in SHAPES if any(row["network"] == name for row in rows)),
        "",
        "| network | batch | memory | LSQ / FP32 training | goal, at most |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        if "once" not in row:
            goal = TRAINING_GOAL.get(str(row["network"]), "-")
            lines.append(f"| {setting(row)} | {spread(row['ratios'])} | {goal} |")
    lines += [
        "",
        "An epoch of each method to its floor. Images: with + without gradients in that epoch. Set-up: what comes "
        "before the first epoch, in epochs of the method (below 0: noise, or shorter first epochs). `amun` looks "
        "for adversarial images by one step instead of up to a hundred.",
        "",
        "| network | batch | memory | method | images | epoch / floor | goal, at most | set-up |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        if "once" in row:
            goal = OEU_GOAL if row["method"] == "oeu" else GOAL
            with_gradients, without = row["passes"]
            lines.append(
                f"| {setting(row)} | {row['method']} | {with_gradients} + {without} "
                f"| {spread(row['ratios'])} | {goal:.2f} | {statistics.median(row['once']):.1f} |"
            )
    return "\n".join(lines) + "\n"


def kept(rows: list[dict[str, object]]) -> None:
    """Replace the rows of the same network, batch and method, and write both files anew."""
    stored = RESULTS.with_suffix(".json")
    known = json.loads(stored.read_text()) if stored.exists() else []

    def key(row: dict[str, object]) -> tuple[object, ...]:
        return row["network"], row["batch"], row["method"], row["memory"]

    merged = {key(row): row for row in [*known, *rows]}
    networks = list(SHAPES)
    ordered = sorted(
        merged.values(), key=lambda row: (networks.index(str(row["network"])), row["batch"], row["memory"])
    )
    stored.write_text(json.dumps(ordered, indent=1) + "\n")
    RESULTS.with_suffix(".md").write_text(table(ordered))


def main() -> None:
    iterative = [name for name in BUILT_IN if name not in NOT_ITERATIVE]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--networks", nargs="*", choices=list(SHAPES), default=["resnet20"])
    parser.add_argument("--methods", nargs="*", choices=iterative, default=iterative)
    parser.add_argument("--training", action="store_true", help="measure quantized training too")
    parser.add_argument("--keep-memory", action="store_true", help="see above")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.keep_memory and not keep_memory():
        raise SystemExit("--keep-memory: the C library refuses; expected glibc")
    memory = "kept" if given.keep_memory else "given back"
    for name in given.networks:
        if given.training:
            kept(of_training(name, given.batch, given.rounds, memory))
        for one in given.methods:
            kept(of_method(name, one, given.batch, given.rounds, memory))


if __name__ == "__main__":
    main()
