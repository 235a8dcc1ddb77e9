"""The gradient of each sample's loss, for many samples from one forward and one backward pass.

A sample's gradient for a layer's parameters follows from the layer's input and the gradient at its output. One
backward pass gives the latter for all samples of a batch. Source: Goodfellow, "Efficient per-example gradient
computations" (2015); for convolutions through their patches, Rochette et al. (2019), arXiv:1912.06015. A learned
step gets the derivative of each value by the step (`obliq.quantization.learned_step`), summed per sample.

On small networks this is three times as fast as sample by sample. There is no gain where writing the gradients costs
most (`benchmarks/results/per_sample_cost.md`). torch.func cannot be used: it refuses the quantizers' own backward.

The fast way needs every parameter to belong to a layer in `KNOWN`, and every layer to keep samples apart. Any other
network is evaluated one sample at a time.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, fx, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from obliq.data import Examples
from obliq.data.batches import batches
from obliq.gradients import gradient_of, unfold_inputs
from obliq.quantization import QuantizedActivation, QuantizedWeight
from obliq.run import Run

Passed = tuple[nn.Module, Tensor, Tensor]
"""A layer, its input, and the gradient at its output."""

KNOWN = (nn.Conv1d, nn.Conv2d, nn.Linear, _BatchNorm, QuantizedActivation)
LARGEST_BLOCK = 2**25
"""Elements of the gradients of one block: 128 MiB."""


def per_sample_gradients(
    network: nn.Module, parameters: Sequence[nn.Parameter], examples: Examples, run: Run, together: int = 16
) -> Iterator[Float[Tensor, "block parameters"]]:
    """The gradients of each sample's cross-entropy, in order, in blocks of a few samples.

    Args:
        network: on the run's device, in evaluation mode, in which samples do not influence each other.
        parameters: of the network, in the order of a gradient's elements.
        examples: the samples.
        run: the device.
        together: samples a block, fewer where their gradients are large. Results do not depend on it.
    """
    size = sum(parameter.numel() for parameter in parameters)
    block = max(1, min(together, LARGEST_BLOCK // max(1, size)))
    known = _is_known(network)
    for inputs, labels in batches(examples, block, None, run.device):
        passed = _passed(network, inputs, labels) if known else None
        if passed is None:
            yield one_by_one(network, parameters, inputs, labels)
        else:
            yield _assembled(passed, parameters, len(labels))


def one_by_one(
    network: nn.Module,
    parameters: Sequence[nn.Parameter],
    inputs: Float[Tensor, "block ..."],
    labels: Int[Tensor, " block"],
) -> Float[Tensor, "block parameters"]:
    """The same gradients by a backward pass for each sample; for any network."""
    rows = []
    for image, label in zip(torch.split(inputs, 1), torch.split(labels, 1), strict=True):
        gradient = gradient_of(F.cross_entropy(network(image), label), parameters)
        rows.append(torch.cat([part.reshape(-1) for part in gradient]))
    return torch.stack(rows)


def _is_known(network: nn.Module) -> bool:
    """Whether all parameters are trained and are used by layers of `KNOWN` only."""
    owners = _with_parameters(network)
    by_batch = any(isinstance(owner, _BatchNorm) and owner.running_mean is None for owner in owners)
    frozen = any(not parameter.requires_grad for parameter in network.parameters())
    if by_batch or frozen or not all(isinstance(owner, KNOWN) for owner in owners):
        return False
    if isinstance(network, fx.GraphModule):
        names = {name for name, _ in network.named_parameters()}
        return not any(node.op == "get_attr" and node.target in names for node in network.graph.nodes)
    return owners == [network]


def _passed(network: nn.Module, inputs: Tensor, labels: Tensor) -> list[Passed] | None:
    """Input and output gradient of each known layer; None where a layer has other rows than the samples."""
    seen: list[tuple[nn.Module, Tensor, GradientEdge]] = []
    apart = True

    def keep(layer: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal apart
        apart = apart and len(output) == len(labels)
        if output.requires_grad:
            # The edge, not the tensor: a later statement may overwrite the output in place, which moves the tensor's
            # own edge.
            seen.append((layer, arguments[0].detach(), get_gradient_edge(output)))

    hooks = [module.register_forward_hook(keep) for module in _with_parameters(network)]
    try:
        loss = F.cross_entropy(network(inputs), labels, reduction="sum")
    finally:
        for hook in hooks:
            hook.remove()
    if not apart:
        return None
    gradients = torch.autograd.grad(loss, [edge for _, _, edge in seen], allow_unused=True)
    return [
        (layer, given, gradient)
        for (layer, given, _), gradient in zip(seen, gradients, strict=True)
        if gradient is not None
    ]


@torch.no_grad()
def _assembled(
    passed: list[Passed], parameters: Sequence[nn.Parameter], samples: int
) -> Float[Tensor, "samples parameters"]:
    """Each parameter's part of each sample's gradient, side by side; zeros where there is none."""
    found: dict[int, Tensor] = {}  # by parameter; a layer that is used twice adds up
    for layer, given, gradient in passed:
        for parameter, part in _parts(layer, given, gradient):
            flat = part.reshape(samples, -1)
            found[id(parameter)] = found[id(parameter)] + flat if id(parameter) in found else flat
    missing = partial(parameters[0].new_zeros, samples)
    columns = [
        found[id(parameter)] if id(parameter) in found else missing(parameter.numel())
        for parameter in parameters
    ]
    return torch.cat(columns, dim=1)


def _parts(layer: nn.Module, given: Tensor, gradient: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The parameters of a layer, each with its gradient for each sample."""
    if isinstance(layer, QuantizedActivation):
        _, by_step = layer.derivatives(given)
        yield layer.step, (gradient * by_step).flatten(1).sum(1)
    elif isinstance(layer, _BatchNorm):
        yield from _of_norm(layer, given, gradient)
    else:
        yield from _of_weights(layer, given, gradient)


def _of_norm(layer: _BatchNorm, given: Tensor, gradient: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Batch norm with running statistics, y = gamma (x - mu) / sigma + beta: the gradients of gamma and beta."""
    # (x - mu) / sigma: the layer without its scale and shift
    normal = F.batch_norm(given, layer.running_mean, layer.running_var, eps=layer.eps)
    places = list(range(2, given.dim()))  # axes that samples and channels do not have
    yield layer.weight, (gradient * normal).sum(places) if places else gradient * normal
    yield layer.bias, gradient.sum(places) if places else gradient


def _of_weights(layer: nn.Module, given: Tensor, gradient: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Bias, weight and step of a layer.

    The gradient of the quantized weight is the output gradient times the patches; the quantizer's derivatives then
    give those of latent weight and step.
    """
    outputs = gradient.flatten(2) if isinstance(layer, _ConvNd) else _places_last(gradient)
    columns = unfold_inputs(layer, given)
    samples, groups = columns.shape[:2]
    if isinstance(layer.bias, Tensor):
        yield layer.bias, outputs.sum(2)
    weight: Tensor = layer.weight  # type: ignore[assignment]
    by_group = outputs.reshape(samples, groups, -1, outputs.shape[2])
    # dW = sum over places of output gradient x patch, for each sample and group of channels
    by_weight = (by_group @ columns.mT).view(samples, *weight.shape)
    if not isinstance(layer, QuantizedWeight):
        yield weight, by_weight
        return
    through, by_step = layer.derivatives()
    # The chain rule through the quantizer: d loss / d step = <dW, d w_hat / d step>, per output channel.
    summed = torch.linalg.vecdot(by_weight.flatten(2), by_step.flatten(1))
    yield layer.weight_step, summed if layer.channel_axis == 0 else summed.sum(1)
    yield weight, by_weight.mul_(through)


def _places_last(gradient: Tensor) -> Tensor:
    return gradient.reshape(len(gradient), -1, gradient.shape[-1]).mT


def _with_parameters(network: nn.Module) -> list[nn.Module]:
    return [
        module for module in network.modules() if next(module.parameters(recurse=False), None) is not None
    ]
