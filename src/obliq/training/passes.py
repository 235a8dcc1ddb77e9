"""How often samples pass through the network: what a method costs, counted before it is run.

At equal batch sizes, time per pass is nearly the same for every iterative method: 0.83 to 1.09 of that in fine-tuning
(benchmarks/results/step_cost.md). The numbers of passes therefore compare times before anything is run. Small batches
take longer for each pass, which shows most for small networks.

A pass goes forward and backward. One without gradients counts a third. Looks at the network between two passes over a
set, such as its accuracy after each, are not counted.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch

from obliq.data import MissingExamples, Splits

WITHOUT_GRADIENTS = 1 / 3
"""A pass without gradients, in passes with gradients: a backward pass costs about two forward ones."""


@dataclass(frozen=True, kw_only=True)
class SetSizes:
    """The numbers of samples on which the cost of a method depends.

    Attributes:
        forget: of the forget set.
        retain: of the retain set.
        kept_holdout: holdout samples of classes that are not forgotten as a whole.
        like_forget: holdout samples of the classes of forget samples; all holdout samples if there are none.
        whole_classes: whether a class is forgotten as a whole.
    """

    forget: int
    retain: int
    kept_holdout: int
    like_forget: int
    whole_classes: bool = False

    @classmethod
    def of(cls, splits: Splits) -> "SetSizes":
        """Those of the sets of a request; without a holdout set, there are 0 such samples."""
        missing = isinstance(splits.holdout, MissingExamples)
        labels = torch.empty(0, dtype=torch.int64) if missing else splits.holdout.labels
        gone = torch.tensor(sorted(splits.forgotten_classes), dtype=labels.dtype)
        return cls(
            forget=len(splits.forget),
            retain=len(splits.retain),
            kept_holdout=int((~torch.isin(labels, gone)).sum()),
            like_forget=int(torch.isin(labels, splits.forget.labels).sum()) or len(labels),
            whole_classes=bool(splits.forgotten_classes),
        )


class Passes(NamedTuple):
    """A number of passes of single samples, which may lie between two where a method decides on the way."""

    least: float
    most: float

    @classmethod
    def exactly(cls, number: float) -> "Passes":
        """A number that is known beforehand."""
        return cls(number, number)


def mean_batch(samples: int, size: int) -> float:
    """The mean size of the batches of a pass over that many samples, of which the last may be smaller."""
    return samples / max(1, math.ceil(samples / size))


def passes_in_pairs(epochs: int, sizes: SetSizes, retain_batch: int, forget_batch: int) -> Passes:
    """Passes of so many epochs over the retain set, with a forget batch in each step."""
    steps = math.ceil(sizes.retain / retain_batch)
    return Passes.exactly(epochs * (sizes.retain + steps * mean_batch(sizes.forget, forget_batch)))
