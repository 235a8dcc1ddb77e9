"""How often the limit on learned steps acts: one update changes a step by at most a tenth of its value.

    python benchmarks/step_limit.py

A W4A4 ConvNet on scikit-learn's digits forgets a random tenth by every built-in method, at its default settings and at
the highest learning rate that its search tries. Counts each update of each step. Two minutes on a processor core.
Writes results/step_limit.md.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor, nn

import obliq
from obliq.benchmark.method_variant import search_space
from obliq.data import PartitionRule, Splits, partition
from obliq.errors import ObliqError
from obliq.methods import BUILT_IN, Method
from obliq.quantization.layers import LARGEST_CHANGE, keep_steps_near_
from obliq.run import Run

TABLE = Path(__file__).parent / "results" / "step_limit.md"
PLACES = ("obliq.training.descent", "obliq.training.orthogonal_rounds", "obliq.training.loop")
RATE = "learning_rate"

INTRODUCTION = """\
# How often the limit on learned steps acts

Written by `benchmarks/step_limit.py` with torch {torch}. In a quantized network, one update changes a learned step
by at most {limit:.0f} % of its value ([why](../../docs/methods.md#what-differs-from-public-code)). A W4A4 ConvNet on
scikit-learn's digits forgets {forget} of {train} samples. The share counts single updates of single steps, those of
proxies and other networks that a method trains included. Methods that never update a step have no number.

| method | default rate | limited updates | highest rate tried | limited updates |
| --- | ---: | ---: | ---: | ---: |
"""


class Counter:
    """Stands for `keep_steps_near_`, and counts."""

    def __init__(self) -> None:
        self.updates = self.limited = 0

    def __call__(self, learned: Sequence[Tensor], before: Sequence[Tensor]) -> None:
        """Limit the steps, after counting those that the limit changes."""
        for after, start in zip(learned, before, strict=True):
            change = (after.detach() - start).abs()
            self.updates += change.numel()
            self.limited += int((change > LARGEST_CHANGE * start * (1 + 1e-6)).sum())
        keep_steps_near_(learned, before)

    @property
    def share(self) -> str:
        """In percent."""
        return f"{100 * self.limited / self.updates:.1f} %" if self.updates else "-"


def counted(compute: Callable[[], object]) -> str:
    """The share of limited updates; the reason where the method fails."""
    counter = Counter()
    patches = [mock.patch(f"{place}.keep_steps_near_", counter) for place in PLACES]
    for one in patches:
        one.start()
    try:
        compute()
    except ObliqError:
        return f"{counter.share} (fails)"
    finally:
        for one in patches:
            one.stop()
    return counter.share


def row(name: str, kind: type[Method], original: nn.Module, splits: Splits) -> str:
    """One line of the table."""
    method = kind()
    rates = search_space(kind).get(RATE, ())
    default = counted(lambda: method.unlearn(original, splits, Run()))
    own = getattr(method, RATE, None)
    cells = [name, "-" if own is None else f"{own:g}", default]
    if rates:
        fastest = dataclasses.replace(method, **{RATE: max(rates)})  # type: ignore[type-var]
        cells += [f"{max(rates):g}", counted(lambda: fastest.unlearn(original, splits, Run()))]
    else:
        cells += ["-", "-"]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Count, and write the table."""
    torch.set_num_threads(1)
    parts = partition(obliq.load_dataset("digits"), PartitionRule())
    collection = parts.collection
    network = obliq.create_network("convnet", collection.sample_shape, collection.classes, precision="W4A4")
    recipe = obliq.Recipe(epochs=20, learning_rate=0.02, batch_size=64)
    original = obliq.train(network, parts.train, recipe)
    splits = parts.forgetting(parts.train.indices[::10])
    page = INTRODUCTION.format(
        torch=torch.__version__, limit=100 * LARGEST_CHANGE, forget=len(splits.forget), train=len(parts.train)
    )
    names = [name for name in BUILT_IN if name != "retrain"]
    page += "".join(f"{row(name, BUILT_IN[name], original, splits)}\n" for name in names)
    TABLE.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
