"""Which networks there are, by name, and which one suits an input."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from obliq.errors import ModelError
from obliq.io.user_code import first_line, import_function
from obliq.models.convnet import convnet, signal_convnet, strided_convnet
from obliq.models.mobilenet import mobilenetv2
from obliq.models.resnet import resnet18, resnet20


def initialise(model: nn.Module, seed: int) -> None:
    """Draw every trained parameter of `model` again, in place; batch-norm statistics are reset as well.

    Frozen parameters (`requires_grad=False`) keep their values, and a module of which all are frozen keeps its
    statistics, too: they are a part of the network that no training gives back.

    The same seed gives the same values, on every device and in every memory layout, for a float
    network and for its quantized form, whatever order their submodules are in: they are visited by
    name. The global random state is left as it was.

    Raises:
        ModelError: naming a submodule that owns parameters but cannot draw them again.
    """
    submodules = sorted(dict(model.named_modules()).items())
    for name, module in submodules:
        if not _can_be_reset(module) and any(True for _ in module.parameters(recurse=False)):
            raise ModelError(
                f"{name or 'the network'} ({type(module).__name__}) owns parameters but cannot draw them "
                "again; expected a reset_parameters function"
            )
    with torch.random.fork_rng(devices=[]):
        # not torch.manual_seed, which would seed the accelerators as well
        torch.default_generator.manual_seed(seed)
        for _, module in submodules:
            if _can_be_reset(module) and not _is_frozen(module):
                kept = [(p, p.detach().clone()) for p in module.parameters() if not p.requires_grad]
                _reset(module)
                for parameter, value in kept:
                    parameter.data.copy_(value)


def _is_frozen(module: nn.Module) -> bool:
    parameters = list(module.parameters())
    return bool(parameters) and not any(parameter.requires_grad for parameter in parameters)


def require_drawn_weights(build_network: Callable[[], nn.Module], name: str) -> None:
    """Raise when a function returns a network with loaded weights, which `initialise` would overwrite.

    The network is built under two random states. A weight (a tensor of two axes or more that is not constant) with
    equal values in both was not drawn. Frozen weights do not count: they keep their values.

    Args:
        build_network: returns a new network.
        name: what the user calls the function.

    Raises:
        ModelError: naming the first such weight.
    """
    networks = []
    with torch.random.fork_rng(devices=[]):
        for seed in (1, 2):
            torch.default_generator.manual_seed(seed)
            networks.append(build_network())
    first, second = (dict(network.named_parameters()) for network in networks)
    given = [
        path
        for path, weight in first.items()
        if weight.requires_grad
        and weight.dim() > 1
        and weight.std() > 0
        and torch.equal(weight, second[path])
    ]
    if given:
        raise ModelError(
            f"{name} returns a network with weights of its own ({given[0]} and {len(given) - 1} more have the same "
            "values each time), which training would draw again; expected a function that draws its weights from "
            "torch's random state (freeze what shall stay by requires_grad_(False))"
        )


def _can_be_reset(module: nn.Module) -> bool:
    return callable(getattr(module, "reset_parameters", None))


def _reset(module: nn.Module) -> None:
    """Let a module draw on the CPU in row order; on other devices and layouts the values would differ."""
    tensors = [*module.parameters(), *module.buffers()]
    places = [tensor.data for tensor in tensors]
    for tensor in tensors:
        tensor.data = tensor.data.cpu().contiguous()
    module.reset_parameters()  # type: ignore[operator]
    for tensor, place in zip(tensors, places, strict=True):
        tensor.data = place.copy_(tensor.data)


@dataclass(frozen=True)
class Architecture:
    """A family member that can be built for any number of channels and classes.

    Attributes:
        build: from (in_channels, classes) to the network.
        layout: what one input's axes mean, channels first.
        smallest: the least height, width or length that survives the pooling.
    """

    build: Callable[[int, int], nn.Module]
    layout: tuple[str, ...] = ("channels", "height", "width")
    smallest: int = 4


ARCHITECTURES: dict[str, Architecture] = {
    "convnet": Architecture(convnet),
    "strided-convnet": Architecture(strided_convnet, smallest=1),
    "resnet20": Architecture(resnet20),
    "resnet18": Architecture(resnet18),
    "mobilenetv2": Architecture(mobilenetv2),
    "signal-convnet": Architecture(signal_convnet, layout=("channels", "length")),
}


def build_model(name: str, input_shape: Sequence[int], classes: int) -> nn.Module:
    """A new float network.

    Args:
        name: a key of `ARCHITECTURES`, or `module:function` for your own; that module is imported
            and the function called with (input_shape, classes).
        input_shape: the shape of one input, channels first.
        classes: the number of logits.

    Raises:
        ModelError: for an unknown name, an input that the network cannot read, or a function that
            cannot be imported or does not return a module.
    """
    shape = tuple(input_shape)
    if classes < 2:
        raise ModelError(f"{classes} classes; expected at least 2")
    if any(size < 1 for size in shape):
        raise ModelError(f"an input of shape {shape}; expected sizes of at least 1")
    if is_import_path(name):
        return _imported(name, shape, classes)
    if name not in ARCHITECTURES:
        raise ModelError(
            f"unknown architecture {name!r}; expected {', '.join(ARCHITECTURES)} or module:function"
        )
    architecture = ARCHITECTURES[name]
    if len(shape) != len(architecture.layout):
        raise ModelError(
            f"{name} was given inputs of shape {shape}; expected ({', '.join(architecture.layout)})"
        )
    if min(shape[1:]) < architecture.smallest:
        sizes = " and ".join(architecture.layout[1:])
        raise ModelError(
            f"{name} was given inputs of shape {shape}; expected {sizes} of {architecture.smallest} or more"
        )
    return architecture.build(shape[0], classes)


def choose_architecture(input_shape: Sequence[int]) -> str:
    """The name of a network that suits the input: the smallest that learns its usual data sets well.

    Raises:
        ModelError: when the input is neither (channels, length) nor (channels, height, width).
    """
    shape = tuple(input_shape)
    if len(shape) == 2:
        return "signal-convnet"
    if len(shape) != 3:
        raise ModelError(f"inputs of shape {shape}; expected (channels, length) or (channels, height, width)")
    return "convnet" if shape[0] == 1 and max(shape[1:]) < 32 else "resnet20"


def is_import_path(name: str) -> bool:
    """Whether a name means a function of the user's own, which runs code when it is imported."""
    return ":" in name


def _imported(path: str, input_shape: tuple[int, ...], classes: int) -> nn.Module:
    try:
        function = import_function(path)
    except Exception as error:  # the user's own code may raise anything
        raise ModelError(
            f"cannot import {path!r}: {first_line(error)}; expected module:function, a function of "
            "(input_shape, classes)"
        ) from error
    try:
        made = function(input_shape, classes)
    except Exception as error:
        raise ModelError(f"{path!r} failed for {input_shape}, {classes}: {first_line(error)}") from error
    return require_module(made, path)


def require_module(made: object, what: str) -> nn.Module:
    """The network itself.

    Raises:
        ModelError: when it is something else.
    """
    if not isinstance(made, nn.Module):
        raise ModelError(f"{what} returned a {type(made).__name__}; expected a torch.nn.Module")
    return made
