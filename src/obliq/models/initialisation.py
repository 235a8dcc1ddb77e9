"""Initial weights: drawn from one seed for a float network and for its quantized form."""

from collections.abc import Callable

import torch
from torch import nn

from obliq.errors import ModelError
from obliq.io.visible_text import first_of


def initialise(model: nn.Module, seed: int) -> None:
    """Draw every trained parameter of `model` again, in place; batch-norm statistics are reset as well.

    Frozen parameters (`requires_grad=False`) keep their values, and a module of which all are frozen keeps its
    statistics too: no training would restore them.

    The same seed gives the same values, on every device and in every memory layout, for a float network and for its
    quantized form. Submodules are visited by name, so their order does not matter. The global random state is left
    as it was.

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
        # Not torch.manual_seed, which would seed the accelerators as well.
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
    equal values in both was not drawn. Frozen weights do not count, because they keep their values.

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
            f"{name} returns a network with weights of its own ({first_of(given, 1)}: the same values each time), "
            "which training would draw again; expected `obliq adopt --weights included`, which keeps them, "
            "`obliq train --from-weights included`, which trains them further, or a function that draws its weights "
            "from torch's random state (freeze weights that should stay by requires_grad_(False))"
        )


def _can_be_reset(module: nn.Module) -> bool:
    return callable(getattr(module, "reset_parameters", None))


def _reset(module: nn.Module) -> None:
    """Let a module draw on the processor in row order; other devices and layouts would give other values."""
    tensors = [*module.parameters(), *module.buffers()]
    places = [tensor.data for tensor in tensors]
    for tensor in tensors:
        tensor.data = tensor.data.cpu().contiguous()
    module.reset_parameters()  # type: ignore[operator]
    for tensor, place in zip(tensors, places, strict=True):
        tensor.data = place.copy_(tensor.data)
