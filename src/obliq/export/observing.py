"""What a network in PyTorch answers, and the codes that its quantizers round to on the way."""

import contextlib
import functools
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor, nn

from obliq.quantization import QuantizedActivation, activations


def observed(
    model: nn.Module, batch: Float[Tensor, "samples ..."]
) -> tuple[Float[ndarray, "samples classes"], dict[str, ndarray]]:
    """Logits in evaluation mode, and int32 codes by the name of the quantizer; the network stays as it is."""
    codes: dict[str, ndarray] = {}
    with _noting(model, codes):
        return answers(model, batch), codes


def answers(model: nn.Module, batch: Float[Tensor, "samples ..."]) -> Float[ndarray, "samples classes"]:
    """Logits in evaluation mode, on the processor; the network stays as it is."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            device = next(model.parameters()).device
            logits: ndarray = model(batch.to(device)).float().cpu().numpy()
            return logits
    finally:
        model.train(was_training)


@contextlib.contextmanager
def _noting(model: nn.Module, codes: dict[str, ndarray]) -> Iterator[None]:
    def note(name: str, quantizer: QuantizedActivation, _: object, output: Tensor) -> None:
        codes[name] = torch.div(output, quantizer.step).round().cpu().numpy().astype(np.int32)

    hooks = [
        quantizer.register_forward_hook(functools.partial(note, name))
        for name, quantizer in activations(model).items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
