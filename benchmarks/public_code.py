"""Our methods next to the public code of MU-Q-MUL and SalUn, on the same network, samples and batches.

    python benchmarks/public_code.py --q-mul DIR --salun DIR

The folders are checkouts of Green-Edge-AI-Group/MU-Q-MUL and OPTML-Group/Unlearn-Saliency. The modules
`unlearn/impl.py`, FT, GA, RL and RL_min of the first are imported and run, and `generate_mask.py`, `unlearn/impl.py`
and RL of the second: read them first. Both sides take samples in the order of the data and draw the same labels, see
`public_code_modules`. Takes a minute on a processor core. Writes results/public_code.md.
"""

import argparse
import contextlib
import copy
import functools
import tempfile
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import nn
from torch.utils.data import DataLoader

import obliq
from obliq.data import PartitionRule, Splits, partition
from obliq.methods import (
    QMUL,
    FineTune,
    GradientAscent,
    Method,
    RandomLabel,
    SalUn,
    fine_tune,
    gradient_ascent,
    random_label,
    salun,
)
from obliq.quantization import learned_steps
from obliq.run import Run
from obliq.training import descent
from obliq.training.descent import descend
from obliq.training.prediction import accuracy, predict
from public_code_modules import Q_MUL, SALUN, Samples, add_checkouts, commit_of, same_draws, their_modules

TABLE = Path(__file__).parent / "results" / "public_code.md"
EPOCHS, BATCH, MOMENTUM, DECAY = 2, 50, 0.9, 5e-4
NOISE = 1e-7  # relative, of the learning rate: about one unit in the last place of a float
CPU = torch.device("cpu")
SHARE = 0.5  # of the entries, that SalUn may change

INTRODUCTION = """\
# Our methods next to public code

Written by `benchmarks/public_code.py` with torch {torch}, MU-Q-MUL at commit {q_mul} and Unlearn-Saliency at
{salun}. A ConvNet on scikit-learn's digits forgets {forget} of {train} samples in {epochs} epochs. Both sides start
from the same network, take the same batches and draw the same labels.

- **Same**: ours with the schedule and weight decay of the public code and without our limit on learned steps. **As
  shipped**: ours lowers the rate with every step, spares steps, batch norm and biases from decay, and limits steps.
- **Difference** is the largest one between the logits of the public code's network and of ours, same. Logits reach
  {largest:.0f}.
- **Free** is the same difference where our learned steps may fall below 0, too. Those of the public code can, which no
  file of ours can hold; ours stay positive. Steps end below 0 where the row is marked with *.
- **Noise** is the larger difference of the public code from itself, with learning rates that are larger and smaller by
  a factor of 1 + {noise:g}. In a quantized network, one weight that is rounded otherwise changes all that follows, so a
  difference of that size is rounding. Other versions of PyTorch round otherwise and change such rows.
- **Similar labels** are the nearest of several distances. Rounding can decide between two that are nearly equal, on
  either side; with other networks, other rows have that difference.
- **SalUn** is that of Unlearn-Saliency, which keeps the rate constant; the other rows are of MU-Q-MUL.
- **UA and RA** in percent: wrong answers on forgotten, right ones on retained samples.
- The random dropping of input values in the public code's `RL` is switched off. No paper has it.

| bits | method | rate | difference | free | noise | UA: public, same, as shipped | RA: public, same, as shipped |
| --- | --- | ---: | ---: | ---: | ---: | --- | --- |
"""


@dataclass(frozen=True)
class Pair:
    """A function of the public code and the method of ours that corresponds to it.

    Attributes:
        name: in the table.
        repository, module, function: of the public code.
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
    repository: str = Q_MUL


def pairs(*, epochs: int = EPOCHS, batch: int = BATCH) -> tuple[Pair, ...]:
    """Everything that is compared."""
    usual: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch,
        "momentum": MOMENTUM,
        "weight_decay": DECAY,
    }
    tuning = FineTune(learning_rate=0.05, **usual)
    ascent = GradientAscent(learning_rate=0.01, batch_norm="forget", **usual)
    labels = [RandomLabel(learning_rate=0.05, form=form, **usual) for form in ("sequential", "mixed")]
    found = [
        Pair("fine-tune", "unlearn.FT", "FT", "cifar10", 0.05, tuning, tuning),
        Pair("gradient-ascent", "unlearn.GA", "GA", "cifar10", 0.01, ascent, ascent),
        Pair("random-label, sequential", "unlearn.RL", "RL", "cifar10", 0.05, labels[0], labels[0]),
        Pair("random-label, mixed", "unlearn.RL", "RL", "cifar100", 0.05, labels[1], labels[1]),
    ]
    for order, like in (("sequential", "cifar10"), ("mixed", "cifar100")):
        for kind, similar in (("random", False), ("similar", True)):
            shipped, same = (
                QMUL(learning_rate=0.05, order=order, labels=kind, faithful=faithful, **usual)  # type: ignore[arg-type]
                for faithful in ("code", "whole-code")
            )
            name = f"q-mul, {kind} labels, {order}"
            found.append(Pair(name, "unlearn.RL_min", "RL_min", like, 0.05, shipped, same, similar))
    for form, like in (("sequential", "cifar10"), ("mixed", "cifar100")):
        ours = SalUn(learning_rate=0.05, share=SHARE, form=form, **usual)  # type: ignore[arg-type]
        found.append(Pair(f"salun, {form}", "unlearn.RL", "RL", like, 0.05, ours, ours, repository=SALUN))
    return tuple(found)


def theirs(
    pair: Pair, modules: dict[str, Any], original: nn.Module, splits: Splits, *, noise: float = 0.0
) -> nn.Module:
    """The network after the public code, whose learning rate `noise` makes larger by that share."""
    network = copy.deepcopy(original).train()
    their_descent(pair, modules, original, splits, rate=pair.rate * (1 + noise))(network)
    return network.eval()


def their_descent(
    pair: Pair,
    modules: dict[str, Any],
    original: nn.Module,
    splits: Splits,
    *,
    rate: float,
    epochs: int = EPOCHS,
    batch: int = BATCH,
) -> Callable[[nn.Module], None]:
    """What the public code does to a network in training mode; a mask is computed before, from the original."""
    arguments = types.SimpleNamespace(
        rewind_epoch=0,
        unlearn_lr=rate,
        unlearn_epochs=epochs,
        momentum=MOMENTUM,
        weight_decay=DECAY,
        decreasing_lr="91,136",  # epochs; its default, far behind the last one here
        imagenet_arch=False,
        unlearn=pair.function,
        dataset=pair.like,
        num_classes=splits.retain.collection.classes,
        batch_size=batch,
        warmup=0,
        print_freq=10**9,
        no_l1_epochs=0,
        alpha=0.0,
        mrl=pair.similar,
    )
    loaders = {
        name: DataLoader(Samples(part), batch_size=batch, shuffle=True)
        for name, part in (("forget", splits.forget), ("retain", splits.retain))
    }
    options = {"mask": their_mask(modules, loaders, original, arguments)} if pair.repository == SALUN else {}
    function, loss = getattr(modules[pair.module], pair.function), nn.CrossEntropyLoss()
    return lambda network: function(loaders, network, loss, arguments, **options)


def their_mask(modules: dict[str, Any], loaders: Any, original: nn.Module, arguments: Any) -> dict[str, Any]:
    """The mask of SalUn's public code."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = types.SimpleNamespace(**vars(arguments), save_dir=folder)
        modules["generate_mask"].save_gradient_ratio(
            loaders, copy.deepcopy(original), nn.CrossEntropyLoss(), arguments
        )
        found: dict[str, Any] = torch.load(Path(folder) / f"with_{SHARE}.pt", weights_only=True)
    return found


def with_their_descent(compute: Callable[[], nn.Module], *, constant: bool, free: bool) -> nn.Module:
    """Compute while methods without such an option descend as the public code does.

    Args:
        compute: what is computed.
        constant: keep the learning rate.
        free: let learned steps fall below 0.
    """
    published = functools.partial(descend, published=True)
    with contextlib.ExitStack() as stack:
        for module in (fine_tune, gradient_ascent, random_label, salun):
            stack.enter_context(mock.patch.object(module, "descend", published))
        if constant:
            stack.enter_context(
                mock.patch.object(descent, "cosine_schedule", lambda rate, total: lambda step: rate)
            )
        if free:
            stack.enter_context(mock.patch.object(descent, "keep_steps_positive_"))
        return compute()


def row(pair: Pair, modules: dict[str, Any], original: nn.Module, splits: Splits, bits: str) -> str:
    """One line of the table."""
    with same_draws():
        public = theirs(pair, modules, original, splits)
        again = [theirs(pair, modules, original, splits, noise=noise) for noise in (NOISE, -NOISE)]
        same, free = (
            with_their_descent(
                lambda: pair.same.unlearn(original, splits, Run()),
                constant=pair.repository == SALUN,
                free=free,
            )
            for free in (False, True)
        )
        shipped = pair.shipped.unlearn(original, splits, Run())
    networks = (public, same, shipped)
    wrong = ", ".join(f"{100 - accuracy(one, splits.forget, CPU):.1f}" for one in networks)
    right = ", ".join(f"{accuracy(one, splits.retain, CPU):.1f}" for one in networks)
    below = "*" if any(bool((step < 0).any()) for step in learned_steps(public)) else ""
    others = (difference(public, same, splits), difference(public, free, splits))
    noise = max(difference(public, one, splits) for one in again)
    differences = " | ".join(f"{one:.1g}" for one in (*others, noise))
    return f"| {bits} | {pair.name}{below} | {pair.rate:g} | {differences} | {wrong} | {right} |"


def difference(one: nn.Module, other: nn.Module, splits: Splits) -> float:
    """The largest difference of two networks' logits on all samples but the holdout ones."""
    return max(
        float((predict(one, part, CPU) - predict(other, part, CPU)).abs().max())
        for part in (splits.forget, splits.retain, splits.test)
    )


def main() -> None:
    """Compare, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add_checkouts(parser)
    given = parser.parse_args()
    modules = their_modules(given)
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
        lines += [row(pair, modules[pair.repository], original, splits, bits) for pair in pairs()]
    page = INTRODUCTION.format(
        torch=torch.__version__,
        q_mul=commit_of(given.q_mul),
        salun=commit_of(given.salun),
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
