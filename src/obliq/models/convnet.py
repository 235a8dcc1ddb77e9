"""Small convolutional networks: `convnet` and `strided_convnet` for images, `signal_convnet` for signals.

Signals are sound, motion, heart rate: anything of shape (channels, length) with at least four samples. The network
for signals is the one-dimensional counterpart of `convnet`, with kernels of five samples. Both are from no
particular paper.
"""

from collections.abc import Sequence
from typing import no_type_check

from jaxtyping import Float
from torch import Tensor, nn


def convnet(in_channels: int, classes: int) -> nn.Module:
    """Widths 16, 32 and 64; 24,058 parameters for one channel and ten classes."""
    return ConvNet(in_channels, classes, widths=(16, 32, 64))


def strided_convnet(in_channels: int, classes: int) -> nn.Module:
    """Widths 16, 64 and 128, shrunk by strides; 84,794 parameters for one channel and ten classes.

    For benchmarks that train many networks. The first layer already halves height and width, which makes a step on
    28 x 28 pixels about a third shorter than that of `convnet`. The weights are enough to fit thousands of images.
    Source: the all-convolutional form of Springenberg et al., "Striving for simplicity" (2015).
    """
    return ConvNet(in_channels, classes, widths=(16, 64, 128), strided=True)


class ConvNet(nn.Module):
    """Convolutions of 3 x 3, shrunk by pooling between them or by their strides, and a linear layer."""

    def __init__(
        self, in_channels: int, classes: int, *, widths: Sequence[int], strided: bool = False
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index, width in enumerate(widths):
            if index > 0 and not strided:
                layers.append(nn.MaxPool2d(2))
            layers += [
                nn.Conv2d(in_channels, width, 3, stride=2 if strided else 1, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            in_channels = width
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(in_channels, classes)

    @no_type_check  # torch.fx traces with stand-ins, which no shape check lets pass
    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch classes"]:
        """The logits."""
        logits: Tensor = self.classifier(self.flatten(self.pool(self.features(images))))
        return logits


def signal_convnet(in_channels: int, classes: int) -> nn.Module:
    """Widths 16, 32 and 64; 14,134 parameters for nine channels and six classes."""
    return SignalConvNet(in_channels, classes, widths=(16, 32, 64))


class SignalConvNet(nn.Module):
    """Convolutions over time with pooling between them, and a linear layer."""

    def __init__(self, in_channels: int, classes: int, *, widths: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index, width in enumerate(widths):
            if index > 0:
                layers.append(nn.MaxPool1d(2))
            layers += [
                nn.Conv1d(in_channels, width, 5, padding=2, bias=False),
                nn.BatchNorm1d(width),
                nn.ReLU(),
            ]
            in_channels = width
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool1d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(in_channels, classes)

    @no_type_check  # torch.fx traces with stand-ins, which no shape check lets pass
    def forward(self, signals: Float[Tensor, "batch channels length"]) -> Float[Tensor, "batch classes"]:
        """The logits."""
        logits: Tensor = self.classifier(self.flatten(self.pool(self.features(signals))))
        return logits
