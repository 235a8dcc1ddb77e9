"""The step of the logits, measured with the weights that a training ended with.

A learned step (LSQ) starts from a first batch, whose logits are near zero. Wide networks move their logits far out of
that range within a few steps: those of ResNet-18 reach 60 where the range ends at 4. A logit out of range passes no
gradient to the weights (equation 5 of the paper), so nothing brings it back, and the step itself changes by at most a
tenth in one update. In a long training it catches up. In a short one, the logits of several classes stay at the same
bound, and the first class of them wins (`benchmarks/results/default_rates.md`).

A training that measures this step rounds no logits until it ends. Then the step is the one with the least squared
error over the training samples.
"""

from typing import Literal, final

import torch
from torch import fx, nn

from obliq.data import Examples
from obliq.quantization import QuantizedActivation
from obliq.quantization.least_error import least_error_step
from obliq.quantization.operations import moves_values
from obliq.training.prediction import TorchPredictor, collect_logits

LogitSteps = Literal["learned", "measured"]


@final
class UnroundedLogits:
    """A network in training whose logits are not rounded, until `measure_step_` puts their quantizer back.

    Only a quantizer without a step from data is taken out; others were trained before. It must be signed: an unsigned
    one does the work of a rectifier.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._name = _quantizer_of_logits(model)
        if self._name is not None:
            self._quantizer = model.get_submodule(self._name)
            setattr(model, self._name, nn.Identity())

    def measure_step_(self, examples: Examples, device: torch.device) -> None:
        """Put the quantizer back, in place, with the step of least squared error for the logits of these samples."""
        if self._name is None:
            return
        quantizer = self._quantizer
        assert isinstance(quantizer, QuantizedActivation)
        logits = collect_logits(TorchPredictor(self._model, device), examples)
        quantizer.set_step(least_error_step(logits, quantizer.low, quantizer.high))
        setattr(self._model, self._name, quantizer)


def _quantizer_of_logits(model: nn.Module) -> str | None:
    """The name of the quantizer whose result, perhaps reshaped, is the network's output and nothing else."""
    if not isinstance(model, fx.GraphModule):
        return None
    node = next(node for node in model.graph.nodes if node.op == "output").args[0]
    while isinstance(node, fx.Node) and len(node.users) == 1:
        if node.op == "call_module":
            module = model.get_submodule(str(node.target))
            if isinstance(module, QuantizedActivation):
                return str(node.target) if module.signed and not module.calibrated.item() else None
        if not moves_values(node):
            return None
        node = node.args[0]
    return None
