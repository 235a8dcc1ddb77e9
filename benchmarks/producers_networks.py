"""The small networks of `producers.py`, and the digits that they are trained on; needs nothing of Obliq."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def block(inputs: int, outputs: int, *, stride: int = 1, groups: int = 1, size: int = 3) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outputs)]


class ConvNet(nn.Sequential):
    """Two convolutions, a max pool, and a linear layer for all positions."""

    def __init__(self) -> None:
        super().__init__(
            *(*block(1, 12), nn.ReLU(), nn.MaxPool2d(2), *block(12, 24), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(24 * 16, 10)),
        )


class Residual(nn.Module):
    """Two residual blocks, the second one with a projection."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*block(1, 12), nn.ReLU())
        self.first = nn.Sequential(*block(12, 12), nn.ReLU(), *block(12, 12))
        self.second = nn.Sequential(*block(12, 24, stride=2), nn.ReLU(), *block(24, 24))
        self.shortcut = nn.Sequential(*block(12, 24, stride=2, size=1))
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        x = self.stem(x)
        x = F.relu(x + self.first(x))
        x = F.relu(self.shortcut(x) + self.second(x))
        return self.head(torch.flatten(self.pool(x), 1))


class Mobile(nn.Module):
    """Inverted residuals with Hardswish, ReLU6 and a squeeze-excite gate."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*block(1, 16), nn.Hardswish())
        self.wide = nn.Sequential(
            *(*block(16, 32, size=1), nn.ReLU6(), *block(32, 32, groups=32), nn.Hardswish())
        )
        self.gate = nn.Sequential(
            *(nn.AdaptiveAvgPool2d(1), nn.Conv2d(32, 8, 1), nn.ReLU(), nn.Conv2d(8, 32, 1), nn.Hardsigmoid())
        )
        self.narrow = nn.Sequential(*block(32, 16, size=1))
        self.last = nn.Sequential(*block(16, 32, stride=2), nn.Hardswish())
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        x = self.stem(x)
        wide = self.wide(x)
        x = x + self.narrow(wide * self.gate(wide))
        return self.head(self.pool(self.last(x)).flatten(1))


class Shuffled(nn.Module):
    """Halves of the channels that are concatenated and shuffled, with SiLU, as in ShuffleNetV2."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*block(1, 16), nn.SiLU())
        self.branch = nn.Sequential(*block(8, 8, size=1), nn.SiLU(), *block(8, 8, groups=8), nn.SiLU())
        self.last = nn.Sequential(*block(16, 32, stride=2), nn.SiLU())
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        kept, changed = self.stem(x).chunk(2, dim=1)
        x = torch.cat([kept, self.branch(changed)], 1)
        x = x.view(-1, 2, 8, 8, 8).transpose(1, 2).reshape(-1, 16, 8, 8)
        return self.head(self.last(x).mean((2, 3)))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "convnet": ConvNet,
    "residual": Residual,
    "mobile": Mobile,
    "shuffled": Shuffled,
}


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Samples and labels for training, and for the comparison."""
    from sklearn.datasets import load_digits

    data = load_digits()
    x = torch.tensor(data.images, dtype=torch.float32).unsqueeze(1) / 8 - 1
    y, order = torch.tensor(data.target), torch.randperm(1797, generator=torch.Generator().manual_seed(0))
    train, test = order[:1300], order[1300:]
    return x[train], y[train], x[test], y[test]


def trained(name: str) -> nn.Module:
    """One of the networks after six passes over the training samples."""
    x, y, _, _ = digits()
    torch.manual_seed(0)
    model = NETWORKS[name]()
    optimiser = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, nesterov=True)
    for _ in range(6):
        for part in torch.randperm(len(x)).split(64):
            optimiser.zero_grad()
            F.cross_entropy(model(x[part]), y[part]).backward()
            optimiser.step()
    return model.eval()
