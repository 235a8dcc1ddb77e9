"""The harmless network that every hostile file is an alteration of."""

import functools
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.checkpoints import Blueprint, Checkpoint, Provenance, save_checkpoint
from obliq.data import PartitionRule
from obliq.exporting import export_file
from obliq.models import initialise
from obliq.quantization import Precision, calibrate_steps, quantize


def folder(destination: Path) -> None:
    """A saved network of a built-in architecture."""
    shape = (1, 8, 8)
    blueprint = Blueprint(architecture="convnet", input_shape=shape, classes=3, precision=Precision(3, 4))
    model = blueprint.build()
    initialise(model, 0)
    calibrate_steps(model, torch.randn(8, *shape, generator=torch.Generator().manual_seed(0)))
    provenance = Provenance(
        role="original", data="digits", rule=PartitionRule(seed=0), partition_digest="a" * 64
    )
    save_checkpoint(destination, Checkpoint(model.eval(), blueprint, provenance))


SHAPE = (1, 8, 8)


@functools.cache
def network() -> nn.Module:
    """Every kind of operator that a small image network has; 4-bit, one layer odd in size."""
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 3, 3),
        nn.ReLU(),
        nn.Conv2d(3, 5, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, 3),
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    model = quantize(net, "W4A4")
    calibrate_steps(model, torch.randn(16, *SHAPE, generator=generator))
    return model.eval()


@functools.cache
def onnx_file(form: str) -> bytes:
    """The network, exported."""
    return export_file(network(), SHAPE, form)


@functools.cache
def quantizer_file() -> bytes:
    """A small file of ONNX Runtime's quantizer, with float biases in none and integer ones in all of its layers."""
    from tests.exporting.qdq_files import quantized_file, torch_file

    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 3, 3),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(3, 3),
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    written = torch_file(net.eval(), (1, 8, 8))
    return quantized_file(written, torch.randn(16, 1, 8, 8, generator=generator))


class Forms(nn.Module):
    """Every kind of operator that is in no network of layers, pools and additions alone."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 1), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.first(x)).transpose(2, 3)
        x = torch.cat([x[:, :2], self.second(x)[:, 1:3]], 1)
        gate = x.mean((2, 3)).sigmoid().view(-1, 4, 1, 1)
        return self.last((x * gate).mean((2, 3)))


@functools.cache
def forms_file() -> bytes:
    """Such a network, exported in the integer form."""
    generator = torch.Generator().manual_seed(0)
    net = Forms()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    model = quantize(net, "W8A8", input_shape=SHAPE)
    calibrate_steps(model, torch.randn(16, *SHAPE, generator=generator))
    return export_file(model.eval(), SHAPE)
