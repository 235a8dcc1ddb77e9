"""A witness: a learner that never saw the forget set, asked how hard its samples are.

The original's own confidence cannot tell: it has learned the forget set by heart, and an unusual hand that
it reads without fault is still an unusual hand. Whoever never saw it reads it as the retrained network
will: with more trouble than the average unseen sample. A ridge regression is cheap enough to be trained for it on
the retain set alone; it sees holdout samples, too, for the first time, so its opinions of forget and holdout
samples can be compared. Source: ours, not part of the OEU paper.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from obliq.data import Examples
from obliq.data.batches import batches
from obliq.run import Run

FEATURES = 1000
SHARPNESS = 1.5  # of the kernel: its width is the median distance between samples divided by this
PENALTY = 1.0
BATCH = 512
_DISTANCES = 300  # samples whose distances give the median


def ridge_opinions(retain: Examples, asked: list[Examples], run: Run) -> list[Float[Tensor, " samples"]]:
    """Margins of a ridge regression on random Fourier features of the inputs, trained in closed form.

    It takes about a hundredth of a network's training, and works on inputs of any shape.

    Args:
        retain: what it learns from, in one pass.
        asked: the sets to judge.
        run: the seed of the features; computed on the processor.

    Returns:
        For each set: the true class's score less the best other one; a higher one is an easier sample.

    Source: Rahimi and Recht, "Random features for large-scale kernel machines" (2007); Gaussian kernel.
    """
    features = _Features(retain, run)
    gram = torch.zeros(FEATURES, FEATURES)
    moment = torch.zeros(FEATURES, retain.collection.classes)
    for inputs, labels in batches(retain, BATCH, None, torch.device("cpu")):
        mapped = features(inputs.flatten(1))
        targets = 2 * F.one_hot(labels, retain.collection.classes).to(mapped.dtype) - 1
        gram += mapped.T @ mapped
        moment += mapped.T @ targets
    solution = torch.linalg.solve(gram + PENALTY * torch.eye(FEATURES), moment)

    def opinion(examples: Examples) -> Tensor:
        parts = [
            _margin(features(inputs.flatten(1)) @ solution, labels)
            for inputs, labels in batches(examples, BATCH, None, torch.device("cpu"))
        ]
        return torch.cat(parts)

    return [opinion(examples) for examples in asked]


class _Features:
    """x -> sqrt(2 / D) cos(W x + b), whose inner products approximate a Gaussian kernel's values."""

    def __init__(self, retain: Examples, run: Run) -> None:
        generator = run.generator(purpose=6)
        few = Examples(retain.collection, retain.indices[:: max(1, len(retain) // _DISTANCES)][:_DISTANCES])
        inputs, _ = next(batches(few, _DISTANCES, None, torch.device("cpu")))
        inputs = inputs.flatten(1)
        width = float(torch.pdist(inputs).median()) / SHARPNESS if len(inputs) > 1 else 1.0
        self.directions = torch.randn(inputs.shape[1], FEATURES, generator=generator) / max(width, 1e-6)
        self.phases = 2 * math.pi * torch.rand(FEATURES, generator=generator)

    def __call__(self, inputs: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch features"]:
        return math.sqrt(2 / FEATURES) * torch.cos(inputs @ self.directions + self.phases)


def _margin(scores: Float[Tensor, "batch classes"], labels: Tensor) -> Float[Tensor, " batch"]:
    true_class = F.one_hot(labels, scores.shape[1]).bool()
    best_other = scores.masked_fill(true_class, -math.inf).max(dim=1).values
    return scores[true_class] - best_other
