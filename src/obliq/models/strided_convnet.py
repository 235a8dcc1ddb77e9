"""A convolutional network that shrinks its maps by strides, for benchmarks of many trainings.

Source: all-convolutional form of Springenberg et al., "Striving for simplicity" (2015), at three layers.
"""

from typing import no_type_check

from jaxtyping import Float
from torch import Tensor, nn

WIDTHS = (16, 64, 128)


def strided_convnet(in_channels: int, classes: int) -> nn.Module:
    """Widths 16, 64 and 128; 84,794 parameters for one channel and ten classes.

    The first layer halves height and width already, which makes a step on 28 x 28 pixels about a third
    shorter than the pooled `convnet`'s, while the weights are enough to fit thousands of images.
    """
    return StridedConvNet(in_channels, classes)


class StridedConvNet(nn.Module):
    """Convolutions of 3 x 3 with stride 2, and a linear layer on the average of the last maps."""

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in WIDTHS:
            layers += [
                nn.Conv2d(in_channels, width, 3, stride=2, padding=1, bias=False),
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
