"""Whether a converted network still computes what the given network computes.

A conversion that drops a statement, a hook or a branch changes a network's results without an error. Therefore both
networks are run on random inputs, in training and in evaluation mode, before anything else happens.
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.modules.conv import _ConvNd

from obliq.errors import ModelError
from obliq.quantization.layers import QUANTIZED, QuantizedActivation
from obliq.quantization.quantized_weight import QuantizedWeight

SAMPLES = 4
SCALES = (0.1, 1.0, 4.0, 16.0)
"""Standard deviation of each sample: small values and values beyond every usual bound (6 in ReLU6)."""
RELATIVE_ERROR = 1e-3
"""Of the largest value. The same operations with sums in another order differ by about 1e-6."""
SIZES = (32, 64, 28, 224, 8, 16, 96, 128)
"""Heights, widths or lengths that are tried when the caller does not pass the input's shape."""


def require_same_function(
    before: nn.Module, after: fx.GraphModule, input_shape: Sequence[int] | None = None
) -> None:
    """Raise unless two networks compute the same, quantizers aside.

    In `after`, quantizers pass values on (an unsigned one as the ReLU that it replaced), and quantized layers use
    their latent weights. Dropout draws the same numbers in both.

    Args:
        before: the network before the conversion; left untouched.
        after: the result of the conversion; left untouched.
        input_shape: the shape of one input, without the batch axis; common shapes are tried when it is left out.

    Raises:
        ModelError: when results differ, naming the first module whose output differs; or when the network accepts no
            input shape that was tried.
    """
    if any(value.is_meta for value in (*before.parameters(), *before.buffers())):
        return  # tensors on the meta device have no values to compare
    device = next((value.device for value in before.parameters()), torch.device("cpu"))
    inputs = _inputs(before, input_shape, device)
    for training in (False, True):
        expected, found = _outputs_of(before, inputs, training), _outputs_of(after, inputs, training)
        if not _close(expected[""][0], found[""][0]):
            raise ModelError(_difference(type(before).__name__, _first_wrong(expected, found), training))


def _first_wrong(expected: dict[str, list[Tensor]], found: dict[str, list[Tensor]]) -> str:
    """The path of the first module whose output differs.

    Modules that the copy calls a different number of times do not count.
    """
    return next(
        name
        for name, values in expected.items()
        if len(values) == len(found.get(name, ())) and not _close(values[0], found[name][0])
    )


def _difference(network: str, module: str, training: bool) -> str:
    mode = "training" if training else "evaluation"
    where = f"the output of module {module!r} differs first" if module else "its logits differ"
    return (
        f"the traced copy of {network} computes something else in {mode} mode: {where}; expected a forward "
        "without statements that change a tensor in place (x.clamp_min_(0), x[i] = 0), without hooks, and without "
        "state outside parameters and buffers (assign results instead: x = x.clamp_min(0))"
    )


def _inputs(model: nn.Module, input_shape: Sequence[int] | None, device: torch.device) -> Tensor:
    """Random inputs of a shape that the network accepts.

    Raises:
        ModelError: when it accepts none of the shapes.
    """
    shapes = list(_shapes(model)) if input_shape is None else [tuple(input_shape)]
    reason = "it has no layer that fixes the number of channels"
    generator = torch.Generator().manual_seed(0)
    for shape in shapes:
        scales = torch.tensor(SCALES).reshape(-1, *[1] * len(shape))
        inputs = (scales * torch.randn(SAMPLES, *shape, generator=generator)).to(device)
        try:
            _outputs_of(model, inputs, training=False)
        except Exception as error:  # the user's own forward can raise anything
            reason = " ".join(str(error).split())[:160] or type(error).__name__
        else:
            return inputs
    tried = ", ".join(map(str, shapes[:4])) or "no shape"
    raise ModelError(
        f"{type(model).__name__} could not be run to check its quantized copy (inputs of shape {tried}): {reason}; "
        "expected the shape of one input (pass input_shape=, channels first)"
    )


def _shapes(model: nn.Module) -> Iterator[tuple[int, ...]]:
    """Input shapes that the first layer with weights accepts."""
    first = next((module for module in model.modules() if type(module) in QUANTIZED), None)
    if isinstance(first, nn.Linear):
        yield (first.in_features,)
    elif isinstance(first, _ConvNd):
        axes = len(first.kernel_size)
        yield from ((first.in_channels, *[size] * axes) for size in SIZES)
    for linear in (module for module in model.modules() if isinstance(module, nn.Linear)):
        yield (linear.in_features,)


@torch.no_grad()
def _outputs_of(model: nn.Module, inputs: Tensor, training: bool) -> dict[str, list[Tensor]]:
    """The outputs of every module, one per call, by path in the order of computation; under "" the network's."""
    model = copy.deepcopy(model).train(training)
    found: dict[str, list[Tensor]] = {}
    for name, module in model.named_modules():
        if isinstance(module, QuantizedActivation):
            module.set_step(torch.ones_like(module.step))  # lets it run; the hook replaces its result
            module.register_forward_hook(_passed_on)
        elif isinstance(module, QuantizedWeight):
            module.register_forward_hook(_float_layer, with_kwargs=True)
        if name:
            module.register_forward_hook(_remember(found, name))
    with torch.random.fork_rng(devices=[inputs.device] if inputs.device.type == "cuda" else []):
        if inputs.device.type == "cpu":  # torch.manual_seed would seed the accelerators as well
            torch.default_generator.manual_seed(0)
        else:
            torch.manual_seed(0)
        result = model(inputs.clone())
    if not isinstance(result, Tensor):
        raise ModelError(f"the network returns a {type(result).__name__}; expected one tensor of logits")
    return {**found, "": [result]}


def _remember(found: dict[str, list[Tensor]], name: str) -> Any:
    def hook(module: nn.Module, arguments: tuple[Any, ...], result: Any) -> None:
        # a copy: a later statement may change the tensor in place
        if isinstance(result, Tensor):
            found.setdefault(name, []).append(result.detach().clone())

    return hook


def _passed_on(module: nn.Module, arguments: tuple[Any, ...], result: Tensor) -> Tensor:
    """The output of a quantizer with an infinitely fine grid."""
    assert isinstance(module, QuantizedActivation)
    (value,) = arguments
    passed: Tensor = value if module.signed else F.relu(value)
    return passed


def _float_layer(
    module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any], result: Tensor
) -> Tensor:
    """The output of a quantized layer with its latent weights."""
    assert isinstance(module, QuantizedWeight)
    value, *others = arguments
    return module.compute(value, module.weight, *others, **named)


def _close(expected: Tensor, found: Tensor) -> bool:
    if expected.shape != found.shape:
        return False
    if not torch.equal(expected.isfinite(), found.isfinite()):
        return False
    size = float(expected[expected.isfinite()].abs().max()) if bool(expected.isfinite().any()) else 0.0
    return torch.allclose(expected, found, rtol=RELATIVE_ERROR, atol=RELATIVE_ERROR * size, equal_nan=True)
