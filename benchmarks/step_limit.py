"""How often the limit on learned steps acts: one update changes a step by at most a tenth of its value.

    python benchmarks/step_limit.py

A W4A4 ConvNet on scikit-learn's digits forgets a random tenth by every built-in method, at its default settings and at
the highest learning rates that were chosen and tried in any committed suite. Counts each update of each step. Four
minutes on a processor core. Writes results/step_limit.md.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor, nn

import obliq
from obliq.benchmark.suites import SUITES, suite_named
from obliq.benchmark.tuning import TUNED, read_choices
from obliq.data import PartitionRule, Splits, partition
from obliq.errors import ObliqError
from obliq.methods import BUILT_IN, Method
from obliq.quantization.layers import LARGEST_CHANGE, keep_steps_near_
from obliq.run import Run

RESULTS = Path(__file__).parent / "results"
TABLE = RESULTS / "step_limit.md"
PLACES = ("obliq.training.descent", "obliq.training.orthogonal_rounds", "obliq.training.loop")
RATE = "learning_rate"

INTRODUCTION = """\
# How often the limit on learned steps acts

Written by `benchmarks/step_limit.py` with torch {torch}. In a quantized network, one update changes a learned step
by at most {limit:.0f} % of its value ([why](../../docs/methods.md#what-differs-from-public-code)). A W4A4 ConvNet on
scikit-learn's digits forgets {forget} of {train} samples. The share counts single updates of single steps, those of
proxies and other networks that a method trains included. Methods that never update a step have no number. "Chosen"
and "tried" are the highest learning rates of all committed suites, those beyond the edge of a range included.

| method | default rate | limited | rate chosen | limited | rate tried | limited |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
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


@dataclasses.dataclass
class Rates:
    """The learning rates of one method in the committed suites."""

    chosen: list[float] = dataclasses.field(default_factory=list)
    tried: list[float] = dataclasses.field(default_factory=list)


def committed_rates() -> dict[type[Method], Rates]:
    """By the class of a method, whatever its name in a suite is."""
    found: dict[type[Method], Rates] = defaultdict(Rates)
    for suite in (suite_named(name) for name in SUITES if (RESULTS / name / TUNED).exists()):
        kinds = {one.name: one.method_class for one in suite.variants}
        for choice in read_choices(RESULTS / suite.name / TUNED, suite).values():
            rates = found[kinds[choice.contender]]
            rates.tried += [one[RATE] for one in choice.every_fields if RATE in one]
            rates.chosen += [choice.fields[RATE]] if choice.fields and RATE in choice.fields else []
    return found


def row(name: str, kind: type[Method], rates: Rates, original: nn.Module, splits: Splits) -> str:
    """One line of the table."""
    method = kind()
    own = getattr(method, RATE, None)
    cells = [
        name,
        "-" if own is None else f"{own:g}",
        counted(lambda: method.unlearn(original, splits, Run())),
    ]
    for some in (rates.chosen, rates.tried):
        if not some:
            cells += ["-", "-"]
            continue
        faster = dataclasses.replace(method, **{RATE: max(some)})  # type: ignore[type-var]
        cells += [f"{max(some):g}", counted(lambda faster=faster: faster.unlearn(original, splits, Run()))]  # type: ignore[misc]
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
    rates = committed_rates()
    page += "".join(
        f"{row(name, BUILT_IN[name], rates[BUILT_IN[name]], original, splits)}\n" for name in names
    )
    TABLE.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
