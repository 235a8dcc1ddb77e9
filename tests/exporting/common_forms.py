"""Small networks of the forms that are common on devices: what is in them beyond layers, pools and additions."""

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.quantization import calibrate_steps, quantize
from tests.quantization.nets import conv


def normed(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(conv(inputs, outputs, kernel, stride, groups), nn.BatchNorm2d(outputs))


class NormAct(nn.BatchNorm2d):
    """Batch norm by its function, then dropout and an activation, as timm has it."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.drop, self.act = nn.Identity(), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.num_batches_tracked.add_(1)
        x = F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training, 0.1, self.eps
        )
        return self.act(self.drop(x))


class Head(nn.Linear):
    """A subclass that applies its weights by the function."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, bias=self.bias)


class Transparent(nn.Module):
    """Identity and dropout between layer, batch norm and rectifier, and subclasses of layers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 6), nn.Identity(), nn.BatchNorm2d(6), nn.Dropout2d(0.1), nn.ReLU())
        self.body, self.norm, self.head = conv(6, 8), NormAct(8), Head(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(F.alpha_dropout(self.body(self.stem(x)), 0.1, self.training))
        return self.head(F.adaptive_avg_pool2d(x, (1, 1)).view(-1, 8 * 1 * 1))


class Functions(nn.Module):
    """Activation functions as modules, functions and methods, and arithmetic with numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body, self.last = normed(3, 6), conv(6, 6, groups=6), nn.Linear(6, 5)
        self.acts = nn.Sequential(
            *(nn.Hardswish(inplace=True), nn.Hardsigmoid(), nn.SiLU(), nn.Sigmoid(), nn.Tanh(), nn.GELU()),
            *(nn.LeakyReLU(0.1), nn.PReLU(), nn.ELU(), nn.Softplus(), nn.Hardtanh(0.5, 2), nn.ReLU6()),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = 1 - self.acts(self.stem(x)) * 0.5 + x.size(1) / 2
        x = F.leaky_relu(F.silu(self.body(x)), 0.2).tanh() * x.size(1)
        return self.last(x.clamp(-1, 2).mean((-2, -1)))


class Gated(nn.Module):
    """An inverted residual block with squeeze-excite and hardswish, spelled in two ways."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.expand, self.depth = normed(3, 6), normed(6, 12, 1), normed(12, 12, groups=12)
        self.act, self.down, self.up, self.project = (
            nn.Hardswish(),
            conv(12, 4, 1),
            conv(4, 12, 1),
            normed(12, 6, 1),
        )
        self.squeeze, self.classifier = nn.Linear(6, 6), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.stem(x))
        y = self.act(self.depth(self.act(self.expand(x))))
        gate = F.relu6(self.up(F.relu(self.down(F.avg_pool2d(y, y.size()[2:])))) + 3) / 6
        x = x + self.project(y * gate)
        channels = torch.sigmoid(self.squeeze(x.mean((2, 3))))
        x = x * channels.view(x.shape[0], x.shape[1], 1, 1)
        return self.classifier(F.avg_pool2d(x, x.shape[-1]).flatten(1))


class Shuffled(nn.Module):
    """A unit of ShuffleNetV2: a split, two branches, concatenation, a shuffle of channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.branch = (
            normed(3, 8),
            nn.Sequential(normed(4, 4, 1), nn.ReLU(), normed(4, 4, groups=4)),
        )
        self.last = nn.Linear(8 * 4 * 4, 5)

    def forward(self, x: Tensor) -> Tensor:
        kept, changed = F.relu(self.stem(x)).chunk(2, dim=1)
        x = torch.cat([kept, F.relu(self.branch(changed))], 1)
        samples, channels, height, width = x.size()
        x = x.view(samples, 2, channels // 2, height, width).transpose(1, 2).contiguous()
        x = F.max_pool2d(x.view(samples, channels, height, width), 2)
        return self.last(x.view(-1, 8 * 4 * 4))


class UShaped(nn.Module):
    """Down and up again: nearest upsampling in two ways, skips by concatenation, slices."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = normed(3, 4), normed(4, 8), normed(8, 8)
        self.up, self.merge, self.last = nn.Upsample(scale_factor=2), normed(12, 4), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        top = F.relu(self.first(x))
        middle = F.relu(self.second(F.max_pool2d(top, 2)))
        bottom = F.relu(self.third(F.max_pool2d(middle, 2)))
        middle = middle + F.interpolate(bottom, size=middle.shape[2:])
        x = F.relu(self.merge(torch.cat((top, self.up(middle)), dim=1)))
        return self.last(torch.cat([x[:, :2], x.flip(1)[:, :2, :, :]], 1).amax((2, 3)))


class UNet(nn.Module):
    """Down and up again by transposed convolutions: kernels that the stride divides and does not, and an open size."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = normed(3, 4), normed(4, 8), normed(8, 8)
        self.up, self.norm = nn.ConvTranspose2d(8, 8, 3, 2, padding=1, bias=False), nn.BatchNorm2d(8)
        self.up_again = nn.ConvTranspose2d(16, 4, 2, 2, groups=2)
        self.merge, self.last = normed(8, 4), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        top = F.relu(self.first(x))
        middle = F.relu(self.second(F.max_pool2d(top, 2)))
        bottom = F.relu(self.third(F.max_pool2d(middle, 2)))
        middle = torch.cat([middle, F.relu(self.norm(self.up(bottom, output_size=middle.shape[2:])))], 1)
        x = F.relu(self.merge(torch.cat([top, self.up_again(middle)], 1)))
        return self.last(x.mean((2, 3)))


class Enlarged(nn.Module):
    """An adaptive pool to more places than there are, as in a VGG on small images."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.pool, self.last = conv(3, 4, stride=2), nn.AdaptiveAvgPool2d((2, 7)), nn.Linear(56, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.pool(F.relu(self.stem(x))).flatten(1))


class Dense(nn.Module):
    """Batch norms that no layer is in front of: after a concatenation, and after an addition of branches."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm, self.body = conv(3, 4), nn.BatchNorm2d(4), conv(4, 4)
        self.last_norm, self.skip, self.last = nn.BatchNorm2d(8), nn.BatchNorm2d(8), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.cat([x, self.body(F.relu(self.norm(x)))], 1)
        x = F.relu(self.skip(x) + F.relu(self.last_norm(x)))
        return self.last(x.mean(3).mean(2))


class Points(nn.Module):
    """PointNet without its transforms: layers of size 1 over points, and the largest over all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Conv1d(3, 8, 1), nn.BatchNorm1d(8), nn.Conv1d(16, 12, 1)
        self.last = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.first(x)))
        whole = torch.amax(x, 2, keepdim=True).expand(-1, -1, x.shape[2])
        return self.last(F.adaptive_max_pool1d(self.second(torch.cat([x, whole], 1)), 1).squeeze(-1))


class Keywords(nn.Module):
    """TC-ResNet: frequencies as channels of a signal, which come as an axis of space."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body = nn.Conv1d(10, 8, 3, padding=1), nn.Conv1d(8, 8, 9, 2, 4)
        self.pool = nn.MaxPool1d(2, 2, padding=1, ceil_mode=True)
        self.norm, self.skip, self.last = nn.BatchNorm1d(8), nn.Conv1d(8, 8, 1, 2), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x.squeeze(1).transpose(1, 2)))
        x = F.relu(self.norm(self.body(x)) + self.skip(x))
        return self.last(F.avg_pool1d(self.pool(x), 5).reshape(x.size(0), -1))


FORMS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "transparent": (Transparent, (3, 8, 8)),
    "functions": (Functions, (3, 8, 8)),
    "gated": (Gated, (3, 8, 8)),
    "shuffled": (Shuffled, (3, 8, 8)),
    "u-shaped": (UShaped, (3, 8, 8)),
    "u-net": (UNet, (3, 8, 8)),
    "enlarged": (Enlarged, (3, 8, 8)),
    "dense": (Dense, (3, 8, 8)),
    "points": (Points, (3, 16)),
    "keywords": (Keywords, (1, 15, 10)),
}


@functools.cache
def formed(name: str, precision: str) -> tuple[nn.Module, Tensor]:
    """A quantized network after two training steps, in evaluation mode, and inputs for it."""
    build, shape = FORMS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        inputs, labels = torch.randn(16, *shape), torch.arange(16) % 5
        model = quantize(build(), precision, input_shape=shape)
        calibrate_steps(model, inputs)
        descent = torch.optim.SGD(model.parameters(), 1e-3)
        for _ in range(2):
            descent.zero_grad()
            F.cross_entropy(model(inputs), labels).backward()
            descent.step()
    return model.eval(), inputs
