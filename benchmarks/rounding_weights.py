"""Rounding the weights of a network after it was trained: post-training quantization of the plain kind.

Inner layers get the width, first and last layer and all activations 8 bits; the step of each channel has the least
squared error; activations are calibrated, and batch norm's statistics taken anew, on the retain set.
"""

import copy

import torch
from torch import Tensor, nn

from obliq.data import Examples
from obliq.data.batches import batches
from obliq.quantization import calibrate_steps, quantize, weighted_layers
from obliq.quantization.precision import weight_range

CPU = torch.device("cpu")


def least_error_steps(weight: Tensor, bits: int) -> Tensor:
    """The step of each output channel, among 80 shares of its largest weight, with the least squared error."""
    _, high = weight_range(bits)
    rows = weight.detach().flatten(1)
    shares = torch.linspace(1.2, 0.1, 80)[:, None]
    steps = (shares * rows.abs().amax(dim=1) / high).clamp_min(2.0**-20)
    codes = (rows / steps[:, :, None]).round().clamp(-high, high)
    errors = (codes * steps[:, :, None] - rows).square().sum(dim=2)
    return steps.gather(0, errors.argmin(dim=0, keepdim=True))[0]


def rounded(model: nn.Module, bits: int, retain: Examples) -> nn.Module:
    """A copy whose inner weights lie on the best grid of this width; a float network is quantized first."""
    made = copy.deepcopy(model) if weighted_layers(model) else quantize(model, f"W{bits}A8")
    layers = list(weighted_layers(made).values())
    for place, layer in enumerate(layers):
        layer.bits = bits if 0 < place < len(layers) - 1 else 8
        with torch.no_grad():
            layer.weight_step.copy_(least_error_steps(layer.weight, layer.bits))
    return settled(made, retain)


def rounded_only(model: nn.Module, bits: int, retain: Examples) -> nn.Module:
    """The same with batch norm's statistics left as they were."""
    made = rounded(model, bits, retain)
    before = dict(model.named_modules())
    for name, module in made.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.load_state_dict(before[name].state_dict())
    return made


def settled(model: nn.Module, retain: Examples) -> nn.Module:
    """Activations calibrated and batch norm's statistics taken on the retain set, in place."""
    inputs = [batch for batch, _ in batches(retain, 256, None, CPU)]
    model.train()
    calibrate_steps(model, inputs[0])
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # plain averages
    with torch.no_grad():
        for batch in inputs:
            model(batch)
    return model.eval()
