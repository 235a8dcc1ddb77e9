"""The losses of an epoch's steps, read together on an accelerator, where each read waits for all work before it."""

import math
from dataclasses import dataclass, field
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from obliq.errors import ModelError

READ_TOGETHER = 50
"""Steps between two reads on an accelerator. A loss that is not finite is found at most so many steps later."""


@final
@dataclass
class StepLosses:
    """The losses of consecutive steps.

    Attributes:
        first: the number of the first step, for messages.
        learning_rate: for messages, too.
        device: where they are computed.
        values: those that were read.
    """

    first: int
    learning_rate: float
    device: torch.device
    values: list[float] = field(default_factory=list)
    _waiting: list[Tensor] = field(default_factory=list)

    def add(self, loss: Float[Tensor, ""]) -> None:
        """Keep the loss of the next step. On a processor, where reading is free, it is read at once.

        Raises:
            ModelError: when a loss that was read is NaN or infinite, with its step.
        """
        self._waiting.append(loss.detach())
        if self.device.type == "cpu" or len(self._waiting) >= READ_TOGETHER:
            self.read()

    def read(self) -> list[float]:
        """All losses so far.

        Raises:
            ModelError: as `add`.
        """
        if self._waiting:
            for value in torch.stack(self._waiting).tolist():
                step = self.first + len(self.values)
                self.values.append(require_finite(value, step, self.learning_rate))
            self._waiting.clear()
        return self.values


def require_finite(loss: float, step: int, learning_rate: float) -> float:
    """The loss itself.

    Raises:
        ModelError: when it is NaN or infinite.
    """
    if not math.isfinite(loss):
        raise ModelError(
            f"the loss became {loss} at step {step} with learning rate {learning_rate}; expected a lower rate"
        )
    return loss
