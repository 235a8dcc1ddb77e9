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

from obliq.data import Examples
from obliq.data.batches import batches
from obliq.run import Run

FOURIER = 1000
SHARPNESS = 1.5  # of the kernel: its width is the median distance between samples divided by this
FILTERS, SIZE, STRIDE, CELLS = 64, 5, 2, 4
LENGTH = 10.0  # of a vector of patch features, against a ridge penalty of 1
_FLAT = 0.3  # of the mean variance: patches below it show too little to be a filter


class FourierFeatures:
    """x -> sqrt(2 / D) cos(W x + b), whose inner products approximate a Gaussian kernel's values.

    Sees the whole input at once, whatever its shape. Source: Rahimi and Recht, "Random features for
    large-scale kernel machines" (2007).
    """

    def __init__(self, sample: Float[Tensor, "sample ..."], generator: torch.Generator) -> None:
        flat = sample.flatten(1)
        width = float(torch.pdist(flat).median()) / SHARPNESS if len(flat) > 1 else 1.0
        self.directions = torch.randn(flat.shape[1], FOURIER, generator=generator) / max(width, 1e-6)
        self.phases = 2 * math.pi * torch.rand(FOURIER, generator=generator)

    def __call__(self, inputs: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch features"]:
        """A vector for each input."""
        return math.sqrt(2 / FOURIER) * torch.cos(inputs.flatten(1) @ self.directions + self.phases)


class PatchFeatures:
    """How much each of 64 patches of the data is found, or its negative, in each cell of an image.

    Sees local strokes and textures wherever they stand in a cell. Source: after Coates, Ng and Lee, "An
    analysis of single-layer networks in unsupervised feature learning" (2011), with patches as they are
    instead of learned ones, and no whitening.
    """

    def __init__(
        self, sample: Float[Tensor, "batch channels height width"], generator: torch.Generator
    ) -> None:
        channels = sample.shape[1]
        patches = F.unfold(sample, SIZE).transpose(1, 2).reshape(-1, channels * SIZE * SIZE)
        patches = patches[patches.var(dim=1) > _FLAT * patches.var(dim=1).mean()]
        patches = patches[torch.randperm(len(patches), generator=generator)[:FILTERS]]
        patches = F.normalize(patches - patches.mean(dim=1, keepdim=True), dim=1)
        self.filters = patches.reshape(-1, channels, SIZE, SIZE)

    @staticmethod
    def can_see(sample: Tensor) -> bool:
        """Whether these are images of at least a patch, not all of one colour."""
        return sample.ndim == 4 and min(sample.shape[2:]) >= SIZE and float(sample.var()) > 0

    def __call__(
        self, inputs: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch features"]:
        """A vector of length 10 for each image."""
        found = F.conv2d(inputs, self.filters, stride=STRIDE, padding=SIZE // 2)
        means = _cell_means(*found.shape[2:])
        found = found.flatten(2)
        present = F.relu(found) @ means
        absent = present - found @ means
        return LENGTH * F.normalize(torch.cat([present, absent], dim=1).flatten(1), dim=1)


def _cell_means(height: int, width: int) -> Float[Tensor, "places cells"]:
    """Adaptive average pooling as a matrix, which is several times as fast to apply."""
    places = torch.eye(height * width).reshape(-1, 1, height, width)
    return F.adaptive_avg_pool2d(places, CELLS).flatten(1)


PENALTY = 1.0
BATCH = 512
_SAMPLE = 300  # retain samples that features are made from
Features = Callable[[Tensor], Tensor]


def reference_features(retain: Examples, run: Run) -> list[Features]:
    """What each witness sees: the whole input; in images the patches, too. The run's seed draws both."""
    few = Examples(retain.collection, retain.indices[:: max(1, len(retain) // _SAMPLE)][:_SAMPLE])
    sample, _ = next(batches(few, _SAMPLE, None, torch.device("cpu")))
    generator = run.generator(purpose=6)
    found: list[Features] = [FourierFeatures(sample, generator)]
    if PatchFeatures.can_see(sample):
        found.append(PatchFeatures(sample, generator))
    return found


@dataclass(frozen=True, eq=False)
class RidgeSums:
    """All that a ridge regression needs of the samples that it learns from; of two sets together, the sum.

    Attributes:
        gram: inner products of the features, a constant beside them.
        moment: their inner products with the targets, +1 for the true class and -1 for others.
    """

    gram: Float[Tensor, "features features"]
    moment: Float[Tensor, "features classes"]

    @classmethod
    def of(cls, features: Features, examples: Examples) -> "RidgeSums":
        """In one pass over a set, on the processor."""
        gram, moment = torch.zeros(()), torch.zeros(())
        for inputs, labels in batches(examples, BATCH, None, torch.device("cpu")):
            mapped = _with_one(features(inputs))
            targets = 2 * F.one_hot(labels, examples.collection.classes).to(mapped.dtype) - 1
            gram = gram + mapped.T @ mapped
            moment = moment + mapped.T @ targets
        return cls(gram, moment)

    def __add__(self, other: "RidgeSums") -> "RidgeSums":
        return RidgeSums(self.gram + other.gram, self.moment + other.moment)


def ridge_margins(features: Features, learned: RidgeSums, asked: Examples) -> Float[Tensor, " samples"]:
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
