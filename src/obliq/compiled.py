"""A network's forward and backward pass as compiled code, for long trainings.

torch.compile traces the network, in which the quantizers then stand as ordinary operations, and fuses them; on
processors it needs a C++ compiler (g++ or clang). Compiling takes from half a minute to minutes, which a training
earns back after as many steps as `benchmarks/results/compiled_training.md` says; the methods' own descents are
shorter than that and stay as they are. Sums are taken in another order than in plain code, so results are equal
up to rounding, and to the last bit only among compiled runs.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException

from obliq.errors import ModelError
from obliq.quantization import activations
from obliq.run import Run

Forward = Callable[[Tensor], Tensor]


def forward_of(model: nn.Module, run: Run, batch_size: int) -> Forward:
    """The network itself, or compiled code that uses its parameters when the run asks for it.

    The network stays an ordinary module, to be returned and saved. Batches of another size than the full one
    pass through it uncompiled: the last batch of an epoch does not earn back a second compilation.

    Raises:
        ModelError: when activation steps have not been set; later, from the first pass, when torch cannot compile.
    """
    if not run.compile:
        return model
    for quantizer in activations(model).values():
        quantizer.require_calibrated()  # reads a flag, which would cut the compiled code in pieces
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
