"""Functions that depend on the mode, and subclasses that apply weights by a function, become modules."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from obliq.errors import ModelError
from obliq.quantization import quantize
from obliq.quantization.functions_as_modules import DropoutFunction
from tests.exporting.common_forms import Head, NormAct, Transparent


@fx.wrap
def drop_rows(input: Tensor, p: float, training: bool = True) -> Tensor:
    """Stochastic depth, as torchvision has it."""
    if not training:
        return input
    kept = torch.empty(input.shape[0], *[1] * (input.dim() - 1)).bernoulli_(1 - p)
    return input * kept / (1 - p)


@fx.wrap
def double_in_training(input: Tensor, training: bool = True) -> Tensor:
    return 2 * input if training else input + 1


class Deep(nn.Module):
    def __init__(self, function: object) -> None:
        super().__init__()
        self.body, self.head, self.function = nn.Linear(6, 6), nn.Linear(6, 3), function

    def forward(self, x: Tensor) -> Tensor:
        if self.function == "rows":
            y = drop_rows(self.body(x), 0.5, self.training)
        else:
            y = double_in_training(self.body(x), training=self.training)
        return self.head(F.relu(x + y))


def test_stochastic_depth_follows_the_mode() -> None:
    model = quantize(Deep("rows"), "FP32")
    kept = next(module for module in model.modules() if isinstance(module, DropoutFunction))
    rows = torch.ones(64, 6)
    assert torch.equal(kept.eval()(rows), rows)
    assert set(kept.train()(rows).unique().tolist()) == {0.0, 2.0}


def test_a_function_of_its_own_in_each_mode_is_refused() -> None:
    with pytest.raises(ModelError, match=r"^double_in_training computes something else in training"):
        quantize(Deep("double"), "FP32")


def test_subclasses_become_the_layers_that_they_are() -> None:
    network = Transparent()
    quantized = quantize(network, "FP32", input_shape=(3, 8, 8))
    kinds = {name: type(module) for name, module in quantized.named_modules()}
    assert kinds["norm"] is nn.BatchNorm2d
    assert kinds["norm.act"] is nn.ReLU
    assert kinds["head"] is nn.Linear
    assert set(quantized.state_dict()) == set(network.state_dict())
    for name, value in network.state_dict().items():
        assert torch.equal(quantized.state_dict()[name], value), name
    quantized(torch.randn(4, 3, 8, 8))
    assert quantized.get_submodule("norm").num_batches_tracked == 1
    assert isinstance(network.norm, NormAct)
    assert isinstance(network.head, Head)
    assert network.norm.num_batches_tracked == 0
