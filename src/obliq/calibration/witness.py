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


def ridge_opinions(
    features: Features, retain: Examples, asked: list[Examples]
) -> list[Float[Tensor, " samples"]]:
    """Margins of a ridge regression on features of the inputs, trained in closed form on the processor.

    Args:
        features: from a batch of inputs to a batch of vectors.
        retain: what it learns from, in one pass.
        asked: the sets to judge.

    Returns:
        For each set: the true class's score less the best other one; a higher one is an easier sample.
    """
    gram, moment = torch.zeros(()), torch.zeros(())
    for inputs, labels in batches(retain, BATCH, None, torch.device("cpu")):
        mapped = _with_one(features(inputs))
        targets = 2 * F.one_hot(labels, retain.collection.classes).to(mapped.dtype) - 1
        gram = gram + mapped.T @ mapped
        moment = moment + mapped.T @ targets
    solution = torch.linalg.solve(gram + PENALTY * torch.eye(len(gram)), moment)

    def opinion(examples: Examples) -> Tensor:
        parts = [
            _margin(_with_one(features(inputs)) @ solution, labels)
            for inputs, labels in batches(examples, BATCH, None, torch.device("cpu"))
        ]
        return torch.cat(parts)

    return [opinion(examples) for examples in asked]


def _with_one(mapped: Float[Tensor, "batch features"]) -> Float[Tensor, "batch features+1"]:
    """A constant beside the features, for the offset."""
    return torch.cat([mapped, torch.ones(len(mapped), 1)], dim=1)


def _margin(scores: Float[Tensor, "batch classes"], labels: Tensor) -> Float[Tensor, " batch"]:
    true_class = F.one_hot(labels, scores.shape[1]).bool()
    best_other = scores.masked_fill(true_class, -math.inf).max(dim=1).values
    return scores[true_class] - best_other
