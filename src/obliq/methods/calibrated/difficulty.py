"""How hard samples are, estimated by reference models that never saw the forget set.

The original's own confidence cannot show it. The original has memorised the forget set, and reads an unusual
handwriting without errors because it has seen it. A model that never saw the forget set reads it as the retrained
network will: worse than an average unseen sample.

The reference models are ridge regressions, because training one on the retain set takes seconds. Holdout samples are
unseen for them too, so scores of forget and holdout samples can be compared. A single model can misjudge a person in
its own way; two models on different features seldom err in the same way.

Source: ours, not part of the OEU paper.
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
from obliq.methods.method import some_of
from obliq.run import Run

FOURIER = 1000
"""Random Fourier features, D."""
SHARPNESS = 1.5
"""The kernel's width is the median distance between samples, divided by this."""
FILTERS, SIZE, STRIDE, CELLS = 64, 5, 2, 4
"""Patches used as filters, their side in pixels, the step between places, and cells on each axis."""
LENGTH = 10.0
"""Of a vector of patch features; it sets their weight against the ridge penalty of 1."""
_FLAT = 0.3
"""As a share of the mean variance: a patch below it shows too little to be a filter."""


class FourierFeatures:
    """x -> sqrt(2 / D) cos(W x + b), whose inner products approximate the values of a Gaussian kernel.

    These features read the whole input at once, whatever its shape. Source: Rahimi and Recht, "Random features for
    large-scale kernel machines" (2007).
    """

    def __init__(self, sample: Float[Tensor, "sample ..."], generator: torch.Generator) -> None:
        flat = sample.flatten(1)
        # W has normal entries of deviation 1 / width, so that the kernel is exp(-|x - x'|^2 / (2 width^2)).
        width = float(torch.pdist(flat).median()) / SHARPNESS if len(flat) > 1 else 1.0
        self.directions = torch.randn(flat.shape[1], FOURIER, generator=generator) / max(width, 1e-6)
        self.phases = 2 * math.pi * torch.rand(FOURIER, generator=generator)

    def __call__(self, inputs: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch features"]:
        """A vector for each input."""
        return math.sqrt(2 / FOURIER) * torch.cos(inputs.flatten(1) @ self.directions + self.phases)


class PatchFeatures:
    """How strongly each of 64 patches of the data, or its negative, is present in each cell of an image.

    These features read local strokes and textures, wherever they are in a cell. Source: after Coates, Ng and Lee,
    "An analysis of single-layer networks in unsupervised feature learning" (2011), with raw patches instead of
    learned ones, and without whitening.
    """

    def __init__(
        self, sample: Float[Tensor, "batch channels height width"], generator: torch.Generator
    ) -> None:
        channels, patches = sample.shape[1], _structured_patches(sample)
        patches = patches[torch.randperm(len(patches), generator=generator)[:FILTERS]]
        # Filters have mean 0 and length 1: they react to structure, not to brightness or contrast.
        patches = F.normalize(patches - patches.mean(dim=1, keepdim=True), dim=1)
        self.filters = patches.reshape(-1, channels, SIZE, SIZE)

    @staticmethod
    def can_see(sample: Tensor) -> bool:
        """Whether these are images that are large enough for patches, and some patches are not of one colour."""
        return sample.ndim == 4 and min(sample.shape[2:]) >= SIZE and len(_structured_patches(sample)) > 0

    def __call__(
        self, inputs: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch features"]:
        """A vector of length 10 for each image."""
        responses = F.conv2d(inputs, self.filters, stride=STRIDE, padding=SIZE // 2)
        means = _cell_means(*responses.shape[2:])
        responses = responses.flatten(2)
        present = F.relu(responses) @ means
        # relu(-z) = relu(z) - z, without a second pass over the responses
        absent = present - responses @ means
        return LENGTH * F.normalize(torch.cat([present, absent], dim=1).flatten(1), dim=1)


def _structured_patches(
    sample: Float[Tensor, "batch channels height width"],
) -> Float[Tensor, "patches values"]:
    """The patches whose variance is more than a small share of the mean variance."""
    patches = F.unfold(sample, SIZE).transpose(1, 2).reshape(-1, sample.shape[1] * SIZE * SIZE)
    return patches[patches.var(dim=1) > _FLAT * patches.var(dim=1).mean()]


def _cell_means(height: int, width: int) -> Float[Tensor, "places cells"]:
    """Adaptive average pooling as a matrix, which is several times faster to apply."""
    places = torch.eye(height * width).reshape(-1, 1, height, width)
    return F.adaptive_avg_pool2d(places, CELLS).flatten(1)


PENALTY = 1.0
"""Of the ridge regression, on squared coefficients."""
BATCH = 512
_SAMPLE = 300
"""Retain samples from which features are derived: kernel widths and patches."""
Features = Callable[[Tensor], Tensor]
"""From a batch of inputs to a batch of vectors."""


def reference_features(retain: Examples, run: Run) -> list[Features]:
    """Features of each reference model: of the whole input and, for images, of patches; drawn by the run's seed."""
    sample, _ = next(batches(some_of(retain, _SAMPLE), _SAMPLE, None, torch.device("cpu")))
    generator = run.generator(purpose=6)
    features: list[Features] = [FourierFeatures(sample, generator)]
    if PatchFeatures.can_see(sample):
        features.append(PatchFeatures(sample, generator))
    return features


@dataclass(frozen=True, eq=False)
class RidgeSums:
    """The sums that a ridge regression needs of its training samples. The sums of two sets add up.

    Attributes:
        gram: inner products of the features, with a constant 1 as the last feature.
        moment: inner products of the features with the targets, +1 for the true class and -1 for others.
    """

    gram: Float[Tensor, "features features"]
    moment: Float[Tensor, "features classes"]

    @classmethod
    def of(cls, features: Features, examples: Examples) -> "RidgeSums":
        """The sums over a set, in one pass, on the processor."""
        gram, moment = torch.zeros(()), torch.zeros(())
        for inputs, labels in batches(examples, BATCH, None, torch.device("cpu")):
            mapped = _with_one(features(inputs))
            targets = 2 * F.one_hot(labels, examples.collection.classes).to(mapped.dtype) - 1
            gram = gram + mapped.T @ mapped
            moment = moment + mapped.T @ targets
        return cls(gram, moment)

    def __add__(self, other: "RidgeSums") -> "RidgeSums":
        return RidgeSums(self.gram + other.gram, self.moment + other.moment)


def ridge_margins(features: Features, learned: RidgeSums, examples: Examples) -> Float[Tensor, " samples"]:
    """Margins of a ridge regression on features of the inputs, trained in closed form on the processor.

    Args:
        features: from a batch of inputs to a batch of vectors.
        learned: sums over the training samples.
        examples: the samples to score.

    Returns:
        The score of the true class minus the best other score; a higher margin is an easier sample.
    """
    # (G + penalty I) B = M, with G the Gram matrix of the features and M their products with the targets
    solution = torch.linalg.solve(learned.gram + PENALTY * torch.eye(len(learned.gram)), learned.moment)
    parts = [
        _margin(_with_one(features(inputs)) @ solution, labels)
        for inputs, labels in batches(examples, BATCH, None, torch.device("cpu"))
    ]
    return torch.cat(parts)


def _with_one(mapped: Float[Tensor, "batch features"]) -> Float[Tensor, "batch features+1"]:
    """The features and a constant 1, which gives the regression its offset."""
    return torch.cat([mapped, torch.ones(len(mapped), 1)], dim=1)


def _margin(scores: Float[Tensor, "batch classes"], labels: Tensor) -> Float[Tensor, " batch"]:
    true_class = F.one_hot(labels, scores.shape[1]).bool()
    best_other = scores.masked_fill(true_class, -math.inf).max(dim=1).values
    return scores[true_class] - best_other
