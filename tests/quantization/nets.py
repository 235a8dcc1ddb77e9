"""Small float networks of every kind that the placement of quantizers must handle."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


class Plain(nn.Module):
    """Module and functional rectifiers, pools of both kinds, dropout, torch.flatten."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.relu = conv(3, 6), nn.BatchNorm2d(6), nn.ReLU(inplace=True)
        self.second, self.pool = nn.Conv2d(6, 8, 3), nn.MaxPool2d(2)
        self.third, self.last = nn.Linear(8 * 3 * 3, 12), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.norm(self.first(x))))
        x = F.relu(self.second(F.max_pool2d(F.pad(x, (3, 3, 3, 3)), 2)))
        x = F.dropout(x, 0.5, self.training)
        return self.last(torch.relu(self.third(torch.flatten(x, 1))))


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, outputs, stride=stride), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = conv(outputs, outputs), nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)  # one module, two uses
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs:
            self.shortcut = nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += self.shortcut(x)
        return self.relu(y)


class Residual(nn.Module):
    """Blocks with and without a 1x1 convolution on the shortcut, and a mean by method."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = conv(3, 8), nn.BatchNorm2d(8)
        self.blocks = nn.Sequential(Block(8, 8, 1), Block(8, 12, 2))
        self.classifier = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(F.relu(self.norm(self.stem(x)))).mean((2, 3))
        return self.classifier(x.view(x.size(0), -1))


class Inverted(nn.Module):
    """Depthwise convolution between 1x1 convolutions, ReLU6, a linear bottleneck that is added."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 8), nn.BatchNorm2d(8), nn.ReLU6())
        self.expand = nn.Sequential(conv(8, 16, 1), nn.BatchNorm2d(16), nn.ReLU6(inplace=True))
        self.depthwise = nn.Sequential(conv(16, 16, groups=16), nn.BatchNorm2d(16), nn.ReLU6())
        self.project = nn.Sequential(conv(16, 8, 1), nn.BatchNorm2d(8))
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(8, 5))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head(torch.add(x, self.project(self.depthwise(self.expand(x)))))


class Branches(nn.Module):
    """Concatenation, a gate by sigmoid, average pools by function, an activation that is not a ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.join = conv(3, 4), conv(3, 4, 1), conv(8, 8)
        self.gate, self.classifier = nn.Linear(8, 8), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.join(torch.cat([F.relu(self.left(x)), self.right(x)], 1))
        x = F.hardswish(F.avg_pool2d(x, 2))
        gate = torch.sigmoid(self.gate(F.adaptive_avg_pool2d(x, 1).flatten(1)))
        return self.classifier((x * gate[:, :, None, None]).mean(dim=(2, 3)))


class PreActivation(nn.Module):
    """Batch norm and rectifier before the convolution, read by two."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm, self.relu = conv(3, 6), nn.BatchNorm2d(6), nn.ReLU(inplace=True)
        self.body, self.classifier = conv(6, 6), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.body(self.relu(self.norm(x))) + x
        return self.classifier(F.relu(y).mean((2, 3)))


class Signal(nn.Module):
    """One-dimensional, with a strided and a grouped convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv1d(3, 8, 5, 2, 2), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2)),
            *(
                nn.Conv1d(8, 8, 3, padding=1, groups=8),
                nn.ReLU(),
                nn.AvgPool1d(2),
                nn.Flatten(),
                nn.Linear(8, 5),
            ),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


NETS: dict[str, tuple[type[nn.Module], tuple[int, ...]]] = {
    "plain": (Plain, (3, 8, 8)),
    "residual": (Residual, (3, 8, 8)),
    "inverted": (Inverted, (3, 8, 8)),
    "branches": (Branches, (3, 8, 8)),
    "pre-activation": (PreActivation, (3, 8, 8)),
    "signal": (Signal, (3, 8)),
}


def made(name: str, samples: int = 8, seed: int = 0) -> tuple[nn.Module, Tensor]:
    """A network with seeded weights and a batch for it."""
    kind, shape = NETS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = kind()
    return net, torch.randn(samples, *shape, generator=torch.Generator().manual_seed(seed))
