"""MobileNetV2 in its CIFAR form.

Paper: Sandler et al., MobileNetV2: inverted residuals and linear bottlenecks, CVPR 2018, table 2. Deviations: stride
1 instead of 2 in the stem and in the second stage, as is usual for 32 x 32 images. ReLU instead of ReLU6, because
the quantizer after it clips at a learned limit. No dropout. None of these changes the parameter count: 2,236,682 for
CIFAR-10 at width 1, and 3,504,872 for 1,000 classes.
"""

from typing import no_type_check

import torch
from jaxtyping import Float
from torch import Tensor, nn

# expansion, output channels, blocks, stride of the first block
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
STEM, HEAD = 32, 1280


def mobilenetv2(in_channels: int, classes: int, *, width: float = 1.0) -> nn.Module:
    """MobileNetV2 with every channel count multiplied by `width` (the last one only when it grows)."""
    return MobileNetV2(in_channels, classes, width=width)


def round_channels(channels: float) -> int:
    """The nearest multiple of 8 that is not more than a tenth below `channels`, and at least 8."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


class MobileNetV2(nn.Module):
    """A stem, seventeen inverted residuals, a 1 x 1 convolution and a linear layer."""

    def __init__(self, in_channels: int, classes: int, *, width: float = 1.0) -> None:
        super().__init__()
        channels, head = round_channels(STEM * width), round_channels(HEAD * max(1.0, width))
        self.stem = conv_norm_relu(in_channels, channels, kernel=3)
        blocks: list[nn.Module] = []
        for expansion, out_channels, count, first_stride in STAGES:
            out = round_channels(out_channels * width)
            for index in range(count):
                blocks.append(InvertedResidual(channels, out, expansion, first_stride if index == 0 else 1))
                channels = out
        self.blocks = nn.Sequential(*blocks)
        self.head = conv_norm_relu(channels, head, kernel=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(head, classes)

    @no_type_check  # torch.fx traces with stand-ins, which no shape check lets pass
    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch classes"]:
        """The logits."""
        features: Tensor = self.head(self.blocks(self.stem(images)))
        logits: Tensor = self.classifier(self.flatten(self.pool(features)))
        return logits


class InvertedResidual(nn.Module):
    """Expand, filter every channel on its own, project; added to its input where the shapes agree."""

    def __init__(self, in_channels: int, out_channels: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        expand = [conv_norm_relu(in_channels, hidden, kernel=1)] if expansion != 1 else []
        self.layers = nn.Sequential(
            *expand,
            conv_norm_relu(hidden, hidden, kernel=3, stride=stride, groups=hidden),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.residual = stride == 1 and in_channels == out_channels

    @no_type_check  # torch.fx traces with stand-ins, which no shape check lets pass
    def forward(self, features: Tensor) -> Tensor:
        """The features after this block."""
        inner: Tensor = self.layers(features)
        return torch.add(inner, features) if self.residual else inner


def conv_norm_relu(
    in_channels: int, out_channels: int, *, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """A convolution that keeps the size (up to its stride), batch norm and ReLU."""
    conv = nn.Conv2d(
        in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False
    )
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU())
