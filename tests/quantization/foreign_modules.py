"""Stand-ins for modules of Brevitas 0.13 and of torch.ao, with the attributes that are read of them."""

from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Proxy(nn.Module):
    """A quantizer of Brevitas."""

    def __init__(
        self,
        scale: Any,
        bits: float,
        *,
        signed: bool,
        narrow: bool,
        zero: float = 0.0,
        function: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self._values = (torch.as_tensor(scale), torch.tensor(zero), torch.tensor(float(bits)))
        self.is_signed, self.is_narrow_range, self.is_quant_enabled = signed, narrow, True
        self.rounding_mode = "ROUND"
        self.fused_activation_quant_proxy = SimpleNamespace(activation_impl=function or nn.Identity())

    def scale(self) -> Tensor:
        return self._values[0]

    def zero_point(self) -> Tensor:
        return self._values[1]

    def bit_width(self) -> Tensor:
        return self._values[2]

    def forward(self, x: Tensor) -> Tensor:
        scale, zero, bits = self._values
        top = 2 ** int(bits)
        low = (-top // 2 + int(self.is_narrow_range)) if self.is_signed else 0
        high = low + top - 1 - int(self.is_narrow_range)
        x = self.fused_activation_quant_proxy.activation_impl(x)
        return ((x / scale).round() + zero).clamp(low, high).sub(zero) * scale


class QuantIdentity(nn.Module):
    def __init__(self, scale: float, bits: float = 8, **options: Any) -> None:
        super().__init__()
        self.act_quant = Proxy(scale, bits, **{"signed": True, "narrow": False, **options})

    def forward(self, x: Tensor) -> Tensor:
        return self.act_quant(x)


class QuantReLU(QuantIdentity):
    def __init__(self, scale: float, bits: float = 8, **options: Any) -> None:
        super().__init__(scale, bits, **{"signed": False, "function": nn.ReLU(), **options})


class QuantConv2d(nn.Conv2d):
    def __init__(
        self, *arguments: Any, weight_bits: float, scale: Any, zero: float = 0.0, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self.weight_quant = Proxy(scale, weight_bits, signed=True, narrow=True, zero=zero)

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight_quant(self.weight), self.bias)


class QuantLinear(nn.Linear):
    def __init__(self, *arguments: Any, weight_bits: float, scale: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.weight_quant = Proxy(scale, weight_bits, signed=True, narrow=True)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_quant(self.weight), self.bias)


class FakeQuantize(nn.Module):
    """A fake quantizer of torch.ao, without its observer."""

    fake_quant_enabled: Tensor

    def __init__(self, scale: Any, zero: int = 0, low: int = -128, high: int = 127) -> None:
        super().__init__()
        scale = torch.as_tensor(scale).reshape(-1)
        self.register_buffer("scale", scale)
        self.register_buffer("zero_point", torch.full((len(scale),), zero))
        self.register_buffer("fake_quant_enabled", torch.tensor([1]))
        self.register_buffer("observer_enabled", torch.tensor([1]))
        self.quant_min, self.quant_max, self.ch_axis = low, high, 0

    def forward(self, x: Tensor) -> Tensor:
        scale = self.scale.reshape(-1, *[1] * (x.dim() - 1)) if len(self.scale) > 1 else self.scale
        zero = int(self.zero_point[0])
        return ((x / scale).round() + zero).clamp(self.quant_min, self.quant_max).sub(zero) * scale


def _round_output(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
    result: Tensor = module.activation_post_process(output)  # type: ignore[operator]
    return result


def observed(module: nn.Module, quantizer: nn.Module) -> nn.Module:
    """A module whose output is rounded by a hook, as `prepare_qat` leaves it."""
    module.activation_post_process = quantizer
    module.register_forward_hook(_round_output)
    return module


class QuantStub(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


class ConvBnReLU2d(nn.Conv2d):
    """A convolution with a batch norm whose scale is in the rounded weights."""

    def __init__(self, *arguments: Any, quantizer: nn.Module, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.bn, self.weight_fake_quant = nn.BatchNorm2d(self.out_channels), quantizer

    def forward(self, x: Tensor) -> Tensor:
        factor = self.bn.weight / torch.sqrt(self.bn.running_var + self.bn.eps)
        weight = self.weight_fake_quant(self.weight * factor.reshape(-1, 1, 1, 1))
        unscaled = self._conv_forward(x, weight, None) / factor.reshape(-1, 1, 1)
        return F.relu(self.bn(unscaled))


class Linear(nn.Linear):
    """A linear layer of `torch.ao.nn.qat`."""

    def __init__(self, *arguments: Any, quantizer: nn.Module, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.weight_fake_quant = quantizer

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_fake_quant(self.weight), self.bias)


def brevitas_like(**changed: Any) -> nn.Sequential:
    """Quantized input, a convolution of 4 bits, and a linear layer of 5 bits that reads 3 bits."""
    made = {
        "input": QuantIdentity(0.03),
        "conv": QuantConv2d(1, 4, 3, weight_bits=4, scale=0.05, bias=False),
        "norm": nn.BatchNorm2d(4),
        "relu": QuantReLU(0.2, 3),
        "pool": nn.MaxPool2d(2),
        "flat": nn.Flatten(),
        "linear": QuantLinear(16, 3, weight_bits=5, scale=torch.tensor([[0.02], [0.03], [0.01]])),
    }
    network = nn.Sequential()
    for name, module in {**made, **changed}.items():
        network.add_module(name, module)
    return with_statistics(network)


def torch_ao_like(**changed: Any) -> nn.Sequential:
    """A symmetric scheme of torch.ao: after the ReLU only half of the signed codes occur."""
    weights = {"low": -127, "high": 127}
    made = {
        "quant": observed(QuantStub(), FakeQuantize(0.03)),
        "conv": observed(
            ConvBnReLU2d(1, 4, 3, bias=False, quantizer=FakeQuantize([0.01, 0.02, 0.01, 0.03], **weights)),
            FakeQuantize(0.02),
        ),
        "pool": nn.MaxPool2d(2),
        "flat": nn.Flatten(),
        "linear": observed(Linear(16, 3, quantizer=FakeQuantize(0.004, **weights)), FakeQuantize(0.02)),
    }
    network = nn.Sequential()
    for name, module in {**made, **changed}.items():
        network.add_module(name, module)
    return with_statistics(network)


def with_statistics(network: nn.Sequential) -> nn.Sequential:
    """In evaluation mode, with other statistics of batch norm than at its start."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(-1, 2)
            module.bias.data.uniform_(-0.5, 0.5)
    return network.eval()
