"""A small convolutional network for small images; it trains in seconds, and the test suites use it.

Three convolutions with batch norm and ReLU, max pooling after the first two, global average pooling
and a linear layer: the usual small form, from no particular paper. Any image of at least 4 x 4
pixels is accepted, so 8 x 8 digits and 32 x 32 photographs both are.
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

    For benchmarks of many trainings: the first layer halves height and width already, which makes a step on
    28 x 28 pixels about a third shorter than `convnet`'s, while the weights are enough to fit thousands of
    images. Source: the all-convolutional form of Springenberg et al., "Striving for simplicity" (2015).
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
