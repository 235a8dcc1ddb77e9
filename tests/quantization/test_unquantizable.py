"""What cannot be quantized, and settings out of range, are named."""

import pytest
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.errors import ModelError
from obliq.quantization import quantize
from tests.quantization.nets import Residual


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) if x.sum() > 0 else x


class Gate(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.max() > 0 else -x


class Auxiliary(Branching):
    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) * 2 if self.training else self.layer(x)


class Twice(Branching):
    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.layer(x)


class Pair(Branching):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.layer(x + y)


class Many(Branching):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.layer(x), x


class Functional(Branching):
    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.layer.weight)


class Tied(Branching):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.other = nn.Linear(3, 3), nn.Linear(3, 3)
        self.other.weight = self.layer.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.other(self.layer(x))


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (
            Branching(),
            r"cannot trace Branching at test_unquantizable.py, line 18: return .*without branches",
        ),
        (
            nn.Sequential(nn.Linear(3, 3), nn.Sequential(Gate())),
            r"cannot trace 1.0 \(Gate\) at .*, line 23: ",
        ),
        (Auxiliary(), "another path in training"),
        (Twice(), "layer layer is used 2 times"),
        (Pair(), "takes 2 inputs"),
        (Many(), "returns a tuple"),
        (Functional(), "by a function"),
        (Tied(), "layers layer and other share one weight"),
        (nn.Sequential(nn.ReLU(), nn.Flatten()), "has no layer to quantize; expected at least one of Conv1d"),
        (nn.Sequential(nn.ConvTranspose3d(3, 3, 3), nn.Conv3d(3, 3, 3)), "layer 0 is a ConvTranspose3d"),
        (
            nn.Sequential(nn.TransformerEncoderLayer(8, 2), nn.Linear(8, 2)),
            "layer 0 is a TransformerEncoderLayer",
        ),
        (quantize(nn.Sequential(nn.Linear(3, 2)), "W4A4"), "quantized already"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_what_cannot_be_quantized_is_named(net: nn.Module, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        quantize(net, "W4A4")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight_bits": 1, "activation_bits": 4}, "weight bits is 1"),
        ({"weight_bits": 4, "activation_bits": 9}, "activation bits is 9"),
        ({"weight_bits": 4}, "expected a precision alone, or weight and activation bits"),
        (
            {"precision": "W4A4", "weight_bits": 4},
            "expected a precision alone, or weight and activation bits",
        ),
        ({}, "expected a precision alone, or weight and activation bits"),
        ({"precision": "W4A4", "edge_bits": 16}, "edge bits is 16"),
        ({"precision": "W4A4", "weight_grid": "per_row"}, "weight grid is 'per_row'"),
        ({"precision": "W4A4", "preset": "mine"}, "preset is 'mine'"),
    ],
)
def test_settings_out_of_range_are_named(options: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        quantize(Residual(), **options)


def test_the_paper_preset_needs_inner_layers() -> None:
    with pytest.raises(ModelError, match="expected more layers"):
        quantize(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)), "W4A4", preset="paper")
