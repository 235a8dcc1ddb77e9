"""Witnesses: learners that never saw the forget set, asked how hard its samples are.

The original's own confidence cannot tell: it has learned the forget set by heart, and an unusual hand that
it reads without fault is still an unusual hand. Whoever never saw it reads it as the retrained network
will: with more trouble than the average unseen sample. A ridge regression is cheap enough to be trained for it on
the retain set alone; it sees holdout samples, too, for the first time, so its opinions of forget and holdout
samples can be compared. One alone can be wrong about a person in a way of its own; two that look at
different things seldom are in the same way. Source: ours, not part of the OEU paper.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from obliq.calibration.features import FourierFeatures, PatchFeatures
from obliq.data import Examples
from obliq.data.batches import batches
from obliq.run import Run

PENALTY = 1.0
BATCH = 512
_SAMPLE = 300  # retain samples that features are made from
Features = Callable[[Tensor], Tensor]


def witnesses(retain: Examples, run: Run) -> list[Features]:
    """What each witness sees: the whole input; in images the patches, too. The run's seed draws both."""
    few = Examples(retain.collection, retain.indices[:: max(1, len(retain) // _SAMPLE)][:_SAMPLE])
    sample, _ = next(batches(few, _SAMPLE, None, torch.device("cpu")))
    generator = run.generator(purpose=6)
    found: list[Features] = [FourierFeatures(sample, generator)]
    if PatchFeatures.can_see(sample):
        found.append(PatchFeatures(sample, generator))
    return found


@dataclass(frozen=True, eq=False)
class Products:
    """All that a ridge regression needs of the samples that it learns from; of two sets together, the sum.

    Attributes:
        gram: inner products of the features, a constant beside them.
        moment: their inner products with the targets, +1 for the true class and -1 for others.
    """

    gram: Float[Tensor, "features features"]
    moment: Float[Tensor, "features classes"]

    @classmethod
    def of(cls, features: Features, examples: Examples) -> "Products":
        """In one pass over a set, on the processor."""
        gram, moment = torch.zeros(()), torch.zeros(())
        for inputs, labels in batches(examples, BATCH, None, torch.device("cpu")):
            mapped = _with_one(features(inputs))
            targets = 2 * F.one_hot(labels, examples.collection.classes).to(mapped.dtype) - 1
            gram = gram + mapped.T @ mapped
            moment = moment + mapped.T @ targets
        return cls(gram, moment)

    def __add__(self, other: "Products") -> "Products":
        return Products(self.gram + other.gram, self.moment + other.moment)


def ridge_opinions(features: Features, learned: Products, asked: Examples) -> Float[Tensor, " samples"]:
    """Margins of a ridge regression on features of the inputs, trained in closed form on the processor.

    Args:
        features: from a batch of inputs to a batch of vectors.
        learned: of the samples that it learns from.
        asked: the set to judge.

    Returns:
        The true class's score less the best other one; a higher one is an easier sample.
    """
    solution = torch.linalg.solve(learned.gram + PENALTY * torch.eye(len(learned.gram)), learned.moment)
    parts = [
        _margin(_with_one(features(inputs)) @ solution, labels)
        for inputs, labels in batches(asked, BATCH, None, torch.device("cpu"))
    ]
    return torch.cat(parts)


def _with_one(mapped: Float[Tensor, "batch features"]) -> Float[Tensor, "batch features+1"]:
    """A constant beside the features, for the offset."""
    return torch.cat([mapped, torch.ones(len(mapped), 1)], dim=1)


def _margin(scores: Float[Tensor, "batch classes"], labels: Tensor) -> Float[Tensor, " batch"]:
    true_class = F.one_hot(labels, scores.shape[1]).bool()
    best_other = scores.masked_fill(true_class, -math.inf).max(dim=1).values
    return scores[true_class] - best_other
