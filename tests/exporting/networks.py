"""Quantized networks of every kind that can be exported, with batch norms as training could leave them."""

import functools
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn

from obliq.models import build_model
from obliq.models.mobilenet import InvertedResidual, conv_norm_relu, mobilenetv2
from obliq.models.resnet import ResidualNetwork
from obliq.quantization import calibrate_steps, quantize
from tests.quantization.nets import NETS

Case = tuple[Callable[[], nn.Module], tuple[int, ...]]


def inverted_residuals(in_channels: int = 3, classes: int = 10) -> nn.Module:
    """MobileNetV2 with one block of each form: without expansion, added to its input, and of stride 2."""
    blocks = nn.Sequential(
        InvertedResidual(8, 6, expansion=1, stride=1),
        InvertedResidual(6, 6, expansion=6, stride=1),
        InvertedResidual(6, 10, expansion=6, stride=2),
    )
    parts = {
        "stem": conv_norm_relu(in_channels, 8, kernel=3),
        "blocks": blocks,
        "head": conv_norm_relu(10, 24, kernel=1),
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "classifier": nn.Linear(24, classes),
    }
    return nn.Sequential(OrderedDict(parts))


CASES: dict[str, Case] = {
    "convnet": (lambda: build_model("convnet", (1, 8, 8), 10), (1, 8, 8)),
    "residual blocks": (lambda: ResidualNetwork(3, 10, widths=(8, 12), blocks=1), (3, 8, 8)),
    "inverted residuals": (inverted_residuals, (3, 8, 8)),
    "signal-convnet": (lambda: build_model("signal-convnet", (3, 16), 6), (3, 16)),
    **{f"own {name}": NETS[name] for name in ("residual", "inverted", "signal")},
}
"""ReLU6, means by method, reshapes by view, depthwise layers and one-dimensional pools are in the last three."""

DEEP: dict[str, Case] = {
    "resnet20": (lambda: build_model("resnet20", (3, 8, 8), 10), (3, 8, 8)),
    "narrow mobilenetv2": (lambda: mobilenetv2(3, 10, width=0.1), (3, 8, 8)),
}
"""Whole architectures, of the forms above and many times as slow: for what only depth or size can show."""


@functools.cache
def made(name: str, precision: str, seed: int = 0) -> tuple[nn.Module, Tensor]:
    """A quantized network in evaluation mode and inputs for it; some gammas are negative, one is zero.

    It is built once, so tests must leave it as it is.
    """
    build_float, shape = (CASES | DEEP)[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = build_float()
        inputs = torch.randn(8, *shape)
        model = quantize(net, precision)
        calibrate_steps(model, inputs)
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                    module.weight.normal_()
                    module.bias.normal_(std=0.3)
                    module.weight[0] = 0
            for _ in range(5):
                model(inputs)
        model.eval()
        calibrate_steps(model, inputs)
    return model, inputs
