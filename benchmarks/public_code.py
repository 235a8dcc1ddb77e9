"""Our methods next to the public code of MU-Q-MUL, on the same network, samples and batches.

    python benchmarks/public_code.py --checkout DIR

DIR is a checkout of Green-Edge-AI-Group/MU-Q-MUL, whose modules `unlearn/impl.py`, FT, GA, RL and RL_min are imported
and run: read them first. Nothing of it is copied. Its data sets, pruning and logging are replaced by stand-ins,
`.cuda()` does nothing, and both sides take samples in the order of the data and draw the same labels. Takes a minute on
a processor core. Writes results/public_code.md.
"""

import argparse
import contextlib
import copy
import functools
import importlib
import io
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import obliq
from obliq.data import Examples, PartitionRule, Splits, partition
from obliq.methods import (
    QMUL,
    FineTune,
    GradientAscent,
    Method,
    RandomLabel,
    fine_tune,
    gradient_ascent,
    random_label,
)
from obliq.quantization import learned_steps
from obliq.run import Run
from obliq.training.descent import descend
from obliq.training.loop import accuracy, predict

TABLE = Path(__file__).parent / "results" / "public_code.md"
EPOCHS, BATCH, MOMENTUM, DECAY = 2, 50, 0.9, 5e-4
NOISE = 1e-7  # relative, of the learning rate: about one unit in the last place of a float
CPU = torch.device("cpu")
MODULES = ("impl", "FT", "GA", "RL", "RL_min")

INTRODUCTION = """\
# Our methods next to public code

Written by `benchmarks/public_code.py` with torch {torch} and MU-Q-MUL at commit {commit}. A ConvNet on
scikit-learn's digits forgets {forget} of {train} samples in {epochs} epochs. Both sides start from the same network,
take the same batches and draw the same labels.

- **Same**: ours with the schedule and weight decay of the public code and without our limit on learned steps. **As
  shipped**: ours lowers the rate with every step, spares steps, batch norm and biases from decay, and limits steps.
- **Difference** is the largest one between the logits of the public code's network and of ours, same. Logits reach
  {largest:.0f}.
- **Noise** is that between two runs of the public code, of which one has a learning rate that is larger by a factor of
  1 + {noise:g}. In a quantized network, one weight that is rounded otherwise changes all that follows, so a difference
  of that size is rounding.
- **Learned steps** of the public code can fall below 0, which no file of ours can hold; ours stay positive. Steps do so
  where the row is marked with *.
- **Similar labels** are the nearest of several distances. Rounding can decide between two that are nearly equal, on
  either side; with other networks, other rows have that difference.
- **UA and RA** in percent: wrong answers on forgotten, right ones on retained samples.
- The random dropping of input values in the public code's `RL` is switched off. No paper has it.

| bits | method | rate | difference | noise | UA: public, same, as shipped | RA: public, same, as shipped |
| --- | --- | ---: | ---: | ---: | --- | --- |
"""


@dataclass(frozen=True)
class Pair:
    """A function of the public code and the method of ours that corresponds to it.

    Attributes:
        name: in the table.
        module, function: of the public code.
        like: the data set whose branch the public code takes: cifar10 (sequential order) or cifar100 (mixed).
        rate: learning rate.
        shipped: our method.
        same: our method with the descent of the public code, where it has that; else it is given to it.
        similar: whether the public code computes similar labels.
    """

    name: str
    module: str
    function: str
    like: str
    rate: float
    shipped: Method
    same: Method
    similar: bool = False


def pairs() -> tuple[Pair, ...]:
    """Everything that is compared."""
    usual: dict[str, Any] = {
        "epochs": EPOCHS,
        "batch_size": BATCH,
        "momentum": MOMENTUM,
        "weight_decay": DECAY,
    }
    tuning = FineTune(learning_rate=0.05, **usual)
    ascent = GradientAscent(learning_rate=0.01, batch_norm="forget", **usual)
    labels = [RandomLabel(learning_rate=0.05, form=form, **usual) for form in ("sequential", "mixed")]
    found = [
        Pair("fine-tune", "FT", "FT", "cifar10", 0.05, tuning, tuning),
        Pair("gradient-ascent", "GA", "GA", "cifar10", 0.01, ascent, ascent),
        Pair("random-label, sequential", "RL", "RL", "cifar10", 0.05, labels[0], labels[0]),
        Pair("random-label, mixed", "RL", "RL", "cifar100", 0.05, labels[1], labels[1]),
    ]
    for order, like in (("sequential", "cifar10"), ("mixed", "cifar100")):
        for kind, similar in (("random", False), ("similar", True)):
            shipped, same = (
                QMUL(learning_rate=0.05, order=order, labels=kind, faithful=faithful, **usual)  # type: ignore[arg-type]
                for faithful in ("code", "whole-code")
            )
            name = f"q-mul, {kind} labels, {order}"
            found.append(Pair(name, "RL_min", "RL_min", like, 0.05, shipped, same, similar))
    return tuple(found)


class Samples(Dataset[tuple[Tensor, int]]):
    """Samples as the public code has them: `targets` can be replaced."""

    def __init__(self, examples: Examples) -> None:
        self.inputs = examples.inputs()
        self.targets = examples.labels.numpy().copy()

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        return self.inputs[position], int(self.targets[position])


class Meter:
    """Stands for the meter that the public code logs with."""

    val = avg = 0.0

    def update(self, value: float, count: int) -> None:
        """Keep nothing."""


def public_modules(checkout: Path) -> dict[str, Any]:
    """The modules of the public code, with stand-ins for what they import besides.

    Raises:
        SystemExit: when the folder is no checkout.
    """
    folder = next((one.parent for one in sorted(checkout.glob("**/unlearn/RL_min.py"))), None)
    if folder is None:
        raise SystemExit(
            f"{checkout} has no unlearn/RL_min.py; expected a checkout of Green-Edge-AI-Group/MU-Q-MUL"
        )
    package = types.ModuleType("public_unlearn")
    package.__path__ = [str(folder)]  # imports the files one by one, without the package's own list of all
    stand_ins: dict[str, Any] = {
        "utils": types.SimpleNamespace(AverageMeter=Meter, accuracy=lambda output, target: [torch.zeros(1)]),
        "pruner": types.SimpleNamespace(extract_mask=None, prune_model_custom=None, remove_prune=None),
        "imagenet": types.SimpleNamespace(get_x_y_from_data_dict=None),
        "matplotlib": types.ModuleType("matplotlib"),
        "matplotlib.pyplot": types.ModuleType("matplotlib.pyplot"),
        "public_unlearn": package,
    }
    with mock.patch.dict(sys.modules, stand_ins):
        found: dict[str, Any] = {name: importlib.import_module(f"public_unlearn.{name}") for name in MODULES}
    found["RL"].feature_dropping = lambda image, drop_prob: image
    return found


@contextlib.contextmanager
def same_draws() -> Iterator[None]:
    """Samples in the order of the data, and labels that depend on nothing but their number; nothing is printed."""

    def labels(low: int, classes: int, shape: Any, **others: Any) -> Tensor:
        count = int(np.prod(tuple(shape) if hasattr(shape, "__len__") else (shape,)))
        return (7 * torch.arange(count) + 3) % classes

    with (
        mock.patch("torch.randperm", lambda count, **others: torch.arange(count)),
        mock.patch("torch.randint", labels),
        mock.patch("numpy.random.randint", lambda *given: labels(*given).numpy()),
        mock.patch.object(Tensor, "cuda", lambda tensor: tensor),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        yield


def theirs(
    pair: Pair, modules: dict[str, Any], original: nn.Module, splits: Splits, *, noise: float = 0.0
) -> nn.Module:
    """The network after the public code, whose learning rate `noise` makes larger by that share."""
    network = copy.deepcopy(original).train()
    arguments = types.SimpleNamespace(
        rewind_epoch=0,
        unlearn_lr=pair.rate * (1 + noise),
        unlearn_epochs=EPOCHS,
        momentum=MOMENTUM,
        weight_decay=DECAY,
        imagenet_arch=False,
        unlearn=pair.function,
        dataset=pair.like,
        num_classes=splits.retain.collection.classes,
        batch_size=BATCH,
        warmup=0,
        print_freq=10**9,
        no_l1_epochs=0,
        alpha=0.0,
        mrl=pair.similar,
    )
    loaders = {
        name: DataLoader(Samples(part), batch_size=BATCH, shuffle=True)
        for name, part in (("forget", splits.forget), ("retain", splits.retain))
    }
    function = getattr(modules[pair.module], pair.function)
    function(loaders, network, nn.CrossEntropyLoss(), arguments)
    return network.eval()


def with_their_descent(compute: Callable[[], nn.Module]) -> nn.Module:
    """Compute while methods without such an option descend as the public code does."""
    published = functools.partial(descend, published=True)
    with contextlib.ExitStack() as stack:
        for module in (fine_tune, gradient_ascent, random_label):
            stack.enter_context(mock.patch.object(module, "descend", published))
        return compute()


def row(pair: Pair, modules: dict[str, Any], original: nn.Module, splits: Splits, bits: str) -> str:
    """One line of the table."""
    with same_draws():
        public = theirs(pair, modules, original, splits)
        again = theirs(pair, modules, original, splits, noise=NOISE)
        same = with_their_descent(lambda: pair.same.unlearn(original, splits, Run()))
        shipped = pair.shipped.unlearn(original, splits, Run())
    networks = (public, same, shipped)
    wrong = ", ".join(f"{100 - accuracy(one, splits.forget, CPU):.1f}" for one in networks)
    right = ", ".join(f"{accuracy(one, splits.retain, CPU):.1f}" for one in networks)
    below = "*" if any(bool((step < 0).any()) for step in learned_steps(public)) else ""
    return (
        f"| {bits} | {pair.name}{below} | {pair.rate:g} | {difference(public, same, splits):.1g} "
        f"| {difference(public, again, splits):.1g} | {wrong} | {right} |"
    )


def difference(one: nn.Module, other: nn.Module, splits: Splits) -> float:
    """The largest difference of two networks' logits on all samples but the holdout ones."""
    return max(
        float((predict(one, part, CPU) - predict(other, part, CPU)).abs().max())
        for part in (splits.forget, splits.retain, splits.test)
    )


def commit_of(checkout: Path) -> str:
    """The commit of a checkout."""
    words = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def main() -> None:
    """Compare, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--checkout", type=Path, required=True, help="folder of the public code")
    checkout = parser.parse_args().checkout
    modules = public_modules(checkout)
    torch.set_num_threads(1)
    parts = partition(obliq.load_dataset("digits"), PartitionRule())
    splits = parts.forgetting(parts.train.indices[::10])
    lines, largest = [], 0.0
    for bits in ("FP32", "W4A4"):
        network = obliq.create_network(
            "convnet", parts.collection.sample_shape, parts.collection.classes, precision=bits
        )
        recipe = obliq.Recipe(epochs=20, learning_rate=0.02, batch_size=64)
        original = obliq.train(network, parts.train, recipe)
        largest = max(largest, float(predict(original, splits.retain, CPU).abs().max()))
        lines += [row(pair, modules, original, splits, bits) for pair in pairs()]
    page = INTRODUCTION.format(
        torch=torch.__version__,
        commit=commit_of(checkout),
        forget=len(splits.forget),
        train=len(parts.train),
        epochs=EPOCHS,
        largest=largest,
        noise=NOISE,
    )
    page += "\n".join(lines) + "\n"
    TABLE.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
