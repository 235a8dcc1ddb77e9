"""Which networks exist, by name, and which one suits an input."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from obliq.errors import ModelError
from obliq.io.user_code import first_line, import_function
from obliq.models.convnet import convnet, signal_convnet, strided_convnet
from obliq.models.mobilenet import mobilenetv2
from obliq.models.resnet import resnet18, resnet20


@dataclass(frozen=True)
class Architecture:
    """A network that can be built for any number of channels and classes.

    Attributes:
        build: from (in_channels, classes) to the network.
        layout: the meaning of one input's axes, channels first.
        smallest: the smallest height, width or length that the pooling allows.
        learning_rate: the peak rate that `obliq train` uses by default; None for that of `Recipe`.
    """

    build: Callable[[int, int], nn.Module]
    layout: tuple[str, ...] = ("channels", "height", "width")
    smallest: int = 4
    learning_rate: float | None = None


ARCHITECTURES: dict[str, Architecture] = {
    "convnet": Architecture(convnet),
    "strided-convnet": Architecture(strided_convnet, smallest=1),
    "resnet20": Architecture(resnet20),
    "resnet18": Architecture(resnet18),
    # From 0.025 on, few steps drive all logits out of the range that the first batch set, where gradients are zero
    # (unless their step is measured after training, see `obliq.training.logit_steps`).
    "mobilenetv2": Architecture(mobilenetv2, learning_rate=0.01),
    "signal-convnet": Architecture(signal_convnet, layout=("channels", "length")),
}


LARGE = 128
"""Height or width from which pictures are photos, too large for networks that were made for 32 pixels."""


def build_model(name: str, input_shape: Sequence[int], classes: int) -> nn.Module:
    """A new float network.

    Args:
        name: a key of `ARCHITECTURES`, or `module:function` for your own. That module is imported and the function
            called with (input_shape, classes), or without arguments if it needs none.
        input_shape: the shape of one input, channels first.
        classes: the number of logits.

    Raises:
        ModelError: for an unknown name, an input that the network cannot read, or a function that cannot be imported
            or does not return a module.
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

    Large photos get one whose first layer already halves them: a ResNet-20, which begins with all pixels, keeps 260 MiB
    for each photo of 300 x 300 while it is trained.

    Raises:
        ModelError: when the input is neither (channels, length) nor (channels, height, width).
    """
    shape = tuple(input_shape)
    if len(shape) == 2:
        return "signal-convnet"
    if len(shape) != 3:
        raise ModelError(f"inputs of shape {shape}; expected (channels, length) or (channels, height, width)")
    if max(shape[1:]) > LARGE:
        return "strided-convnet"
    return "convnet" if shape[0] == 1 and max(shape[1:]) < 32 else "resnet20"


def is_import_path(name: str) -> bool:
    """Whether a name is that of a function in the user's own code, which is run when it is imported."""
    return ":" in name


def _imported(path: str, input_shape: tuple[int, ...], classes: int) -> nn.Module:
    try:
        function = import_function(path)
    except Exception as error:  # the user's own code can raise anything
        raise ModelError(
            f"cannot import {path!r}: {first_line(error)}; expected module:function, a function of "
            "(input_shape, classes) or without arguments"
        ) from error
    try:
        network = function(input_shape, classes) if _takes_two(function) else function()
    except Exception as error:
        raise ModelError(f"{path!r} failed for {input_shape}, {classes}: {first_line(error)}") from error
    return require_module(network, path)


def _takes_two(function: Callable[..., object]) -> bool:
    """Whether a function takes (input_shape, classes); one that needs no arguments is called without them."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C
        return True
    needed = [
        one
        for one in parameters
        if one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]
    return len(needed) > 0 or any(one.kind is one.VAR_POSITIONAL for one in parameters)


def require_module(value: object, what: str) -> nn.Module:
    """The value itself.

    Raises:
        ModelError: when it is no module.
    """
    if not isinstance(value, nn.Module):
        raise ModelError(f"{what} returned a {type(value).__name__}; expected a torch.nn.Module")
    return value
