"""Start a network anew, as if it had just been constructed."""

import torch
from torch import nn

from obliq.errors import ModelError


def initialise(model: nn.Module, seed: int) -> None:
    """Draw every parameter of `model` again, in place; batch-norm statistics are reset as well.

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
            if _can_be_reset(module):
                _reset(module)


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
