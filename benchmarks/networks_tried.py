"""The networks of `networks.py`: classifiers of torchvision and timm, and networks written by hand."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 10
IMAGES = {32: (16, 8), 64: (16, 8), 224: (4, 2)}
"""By the side of an image in pixels: how many a network is trained on, and on how many it is compared."""
BY_HAND = (16, 8)
"""The same for networks written by hand, which have inputs of their own."""
TORCHVISION = (
    *("resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "mnasnet0_5"),
    *("regnet_y_400mf", "efficientnet_b0", "shufflenet_v2_x0_5", "squeezenet1_1", "densenet121", "vgg11_bn"),
    "googlenet",
)
TIMM = (
    *("resnet18", "resnet10t", "seresnet18", "mobilenetv2_050", "mobilenetv3_small_050", "efficientnet_b0"),
    *("mobilenetv4_conv_small_050", "efficientnet_lite0", "mnasnet_small", "semnasnet_075", "lcnet_050"),
    *("ghostnet_050", "regnetx_002", "regnety_002", "repvgg_a0", "fbnetc_100", "hardcorenas_a", "tinynet_e"),
    *("mixnet_s", "dla46_c", "mobileone_s0"),
)


class SmallUNet(nn.Module):
    """A U-Net of two levels that ends in a mean over space."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.bottom, self.up = _normed(3, 16), _normed(16, 32), _normed(48, 16)
        self.last = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        top = F.relu(self.down(x))
        bottom = F.relu(self.bottom(F.max_pool2d(top, 2)))
        x = F.relu(self.up(torch.cat([top, F.interpolate(bottom, scale_factor=2)], 1)))
        return self.last(x.mean((2, 3)))


class TransposedUNet(nn.Module):
    """The same with three levels, and transposed convolutions in place of the nearest upsampling."""

    def __init__(self) -> None:
        super().__init__()
        self.top, self.middle, self.bottom = _normed(3, 16), _normed(16, 32), _normed(32, 64)
        self.up, self.up_again = (
            nn.ConvTranspose2d(64, 32, 2, 2),
            nn.ConvTranspose2d(32, 16, 4, 2, 1, bias=False),
        )
        self.norm, self.join, self.join_again = nn.BatchNorm2d(16), _normed(64, 32), _normed(32, 16)
        self.last = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        top = F.relu(self.top(x))
        middle = F.relu(self.middle(F.max_pool2d(top, 2)))
        x = F.relu(self.bottom(F.max_pool2d(middle, 2)))
        x = F.relu(self.join(torch.cat([middle, self.up(x)], 1)))
        x = F.relu(self.join_again(torch.cat([top, F.relu(self.norm(self.up_again(x)))], 1)))
        return self.last(x.mean((2, 3)))


class PointNet(nn.Module):
    """Layers of size 1 over points, and the largest value over all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv1d(3, 32, 1), nn.BatchNorm1d(32), nn.ReLU()),
            *(nn.Conv1d(32, 64, 1), nn.BatchNorm1d(64), nn.ReLU()),
        )
        self.head = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        return self.head(torch.amax(self.body(x), 2))


class TemporalResidual(nn.Module):
    """A block of TC-ResNet."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(inputs, outputs, 9, 2, 4, bias=False)
        self.second = nn.Conv1d(outputs, outputs, 9, 1, 4, bias=False)
        self.skip = nn.Conv1d(inputs, outputs, 1, 2, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm1d(outputs) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        y = self.norms[1](self.second(F.relu(self.norms[0](self.first(x)))))
        return F.relu(y + F.relu(self.norms[2](self.skip(x))))


class KeywordResNet(nn.Module):
    """TC-ResNet8: the frequencies of a spectrogram are the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(40, 16, 3, padding=1, bias=False)
        self.blocks = nn.Sequential(
            TemporalResidual(16, 24), TemporalResidual(24, 32), TemporalResidual(32, 48)
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Dropout(), nn.Linear(48, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        return self.head(self.blocks(self.stem(x.squeeze(1))))


def _normed(inputs: int, outputs: int, groups: int = 1, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def separable_sound() -> nn.Module:
    """DS-CNN: a convolution, then depthwise and 1x1 ones in turn."""
    blocks = [
        part
        for _ in range(4)
        for part in (*_normed(64, 64, 64), nn.ReLU(), *_normed(64, 64, 1, 1), nn.ReLU())
    ]
    stem = [nn.Conv2d(1, 64, (10, 4), 2, (5, 1), bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    head = [nn.Dropout(0.4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, CLASSES)]
    return nn.Sequential(*stem, *blocks, *head)


def motion() -> nn.Module:
    """A one-dimensional network for three axes of an accelerometer."""
    return nn.Sequential(
        *(nn.Conv1d(3, 16, 5, padding=2), nn.BatchNorm1d(16), nn.ReLU(), nn.MaxPool1d(2)),
        *(nn.Conv1d(16, 32, 5, padding=2), nn.BatchNorm1d(32), nn.GELU(), nn.AvgPool1d(2)),
        *(nn.Flatten(), nn.Linear(32 * 32, 32), nn.LeakyReLU(), nn.Linear(32, CLASSES)),
    )


def _torchvision(name: str) -> nn.Module:
    settings = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    models = importlib.import_module("torchvision.models")
    network: nn.Module = getattr(models, name)(weights=None, num_classes=CLASSES, **settings)
    return network


def _timm(name: str) -> nn.Module:
    network: nn.Module = importlib.import_module("timm").create_model(name, num_classes=CLASSES)
    return network


@dataclass(frozen=True)
class Case:
    """One network on inputs of one shape."""

    source: str
    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    images: tuple[int, int] = BY_HAND


CLASSIFIERS = (
    *(("torchvision", name, lambda name=name: _torchvision(name)) for name in TORCHVISION),
    *(("timm", name, lambda name=name: _timm(name)) for name in TIMM),
)
CASES = (
    *(Case(*one, (3, pixels, pixels), images) for pixels, images in IMAGES.items() for one in CLASSIFIERS),
    Case("by hand", "DS-CNN", separable_sound, (1, 49, 10)),
    Case("by hand", "TC-ResNet8", KeywordResNet, (1, 40, 98)),
    Case("by hand", "1-D CNN", motion, (3, 128)),
    Case("by hand", "U-Net of two levels", SmallUNet, (3, 32, 32)),
    Case("by hand", "U-Net with transposed convolutions", TransposedUNet, (3, 32, 32)),
    Case("by hand", "PointNet", PointNet, (3, 256)),
)
