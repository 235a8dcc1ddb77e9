"""What the witnesses look at: two views of an input that err in different ways."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

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
