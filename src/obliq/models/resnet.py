"""Residual networks in their CIFAR form, for images of about 32 x 32 pixels.

Paper: He et al., Deep residual learning for image recognition, CVPR 2016 (section 4.2 for the 20-layer form, table 1
for the 18-layer one). Deviations: where the width changes, the shortcut is a 1 x 1 convolution with batch norm (the
paper's option B) in both networks. Option A, which pads with zero channels, has no integer counterpart on most
devices; it would save 2,752 of 272,474 parameters in ResNet-20.
"""

from collections.abc import Sequence
from typing import no_type_check

import torch
from jaxtyping import Float
from torch import Tensor, nn


def resnet20(in_channels: int, classes: int) -> nn.Module:
    """ResNet-20: three groups of three blocks, widths 16, 32, 64; 272,474 parameters for CIFAR-10."""
    return ResidualNetwork(in_channels, classes, widths=(16, 32, 64), blocks=3)


def resnet18(in_channels: int, classes: int) -> nn.Module:
    """ResNet-18 with a 3 x 3 stem and no max pooling; 11,173,962 parameters for CIFAR-10."""
    return ResidualNetwork(in_channels, classes, widths=(64, 128, 256, 512), blocks=2)


class ResidualNetwork(nn.Module):
    """A 3 x 3 stem, groups of blocks that halve the image from the second group on, and a linear layer."""

    def __init__(self, in_channels: int, classes: int, *, widths: Sequence[int], blocks: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, widths[0], 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU()
        width, groups = widths[0], []
        for index, next_width in enumerate(widths):
            first = ResidualBlock(width, next_width, stride=1 if index == 0 else 2)
            others = [ResidualBlock(next_width, next_width, stride=1) for _ in range(blocks - 1)]
            groups.append(nn.Sequential(first, *others))
            width = next_width
        self.groups = nn.Sequential(*groups)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(width, classes)

    @no_type_check  # torch.fx traces with stand-ins, which no shape check lets pass
    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch classes"]:
        """The logits."""
        features: Tensor = self.groups(self.relu(self.norm(self.conv(images))))
        logits: Tensor = self.classifier(self.flatten(self.pool(features)))
        return logits


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions, added to their input (projected where the shape changes)."""

    def __init__(self, in_channels: int, width: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut: nn.Sequential | None = None
        if stride != 1 or in_channels != width:
            project = nn.Conv2d(in_channels, width, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(project, nn.BatchNorm2d(width))
        self.relu2 = nn.ReLU()

    @no_type_check  # torch.fx traces with stand-ins, which no shape check lets pass
    def forward(self, features: Tensor) -> Tensor:
        """The features after this block."""
        inner = self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(features)))))
        kept = features if self.shortcut is None else self.shortcut(features)
        summed: Tensor = self.relu2(torch.add(inner, kept))
        return summed
