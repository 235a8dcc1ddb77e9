"""The forward pass of a training, as compiled code where the run requests it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from obliq.errors import ModelError
from obliq.quantization import activations
from obliq.run import Run

Forward = Callable[[Tensor], Tensor]


def forward_function(model: nn.Module, run: Run, batch_size: int) -> Forward:
    """The network itself, or compiled code that uses its parameters when the run requests it.

    The network stays an ordinary module, to be returned and saved. Batches smaller than `batch_size` pass through it
    uncompiled, because compiling for the last batch of an epoch costs more than it gains.

    Raises:
        ModelError: when activation steps have not been set; and from the first pass, when torch cannot compile.
    """
    if not run.compile:
        return model
    # Imported here: the module is private to torch, and importing it takes longer than importing torch.
    from torch._dynamo.exc import TorchDynamoException

    for quantizer in activations(model).values():
        quantizer.require_calibrated()  # reads a flag, which would break the compiled graph
    code = torch.compile(model, dynamic=False)

    def forward(inputs: Tensor) -> Tensor:
        result: Tensor
        if len(inputs) != batch_size:
            result = model(inputs)
            return result
        try:
            result = code(inputs)
        except TorchDynamoException as error:
            reason = " ".join(str(error).split())[:200]
            raise ModelError(
                f"torch cannot compile this network: {reason}; expected a C++ compiler, or a run without compile"
            ) from error
        return result

    return forward
