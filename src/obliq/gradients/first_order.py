"""Does the retain loss change as first-order theory predicts? Predicted and measured, step by step.

For a step theta <- theta - rate * d, theory predicts the change -rate * <g_r, d> of the retain loss, with g_r its
gradient. The error is of second order in the rate, plus what the rounding of weights does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from obliq.gradients.projection import inner_product


@dataclass
class FirstOrderRecord:
    """The record of one step, filled while the two parts of the step are applied one after the other.

    Values (losses in nats, angle in degrees):
        retain_loss, forget_loss: before the step, on its two batches.
        angle: between the raw forget gradient and the retain gradient; above 90 they conflict.
        predicted_forget_change: -rate * <g_r, u>, the change of this retain batch's loss that first-order theory
            predicts for the forget part u of the step.
        forget_alignment: <g_r, u> divided by the product of the two norms; 0 when orthogonal.
        measured_forget_change: the change that it caused, in the true quantized forward pass.
        predicted_change, measured_change: the same for the whole step.
    """

    g_r: Sequence[Tensor]
    values: dict[str, float] = field(default_factory=dict)

    @classmethod
    def before(
        cls,
        g_r: Sequence[Tensor],
        g_f: Sequence[Tensor],
        retain_loss: Float[Tensor, ""],
        forget_loss: Float[Tensor, ""],
    ) -> FirstOrderRecord:
        """Begin with the raw gradients; call this before the forget gradient is projected in place."""
        norms = math.sqrt(float(inner_product(g_r, g_r)) * float(inner_product(g_f, g_f)))
        cosine = float(inner_product(g_r, g_f)) / norms if norms > 0 else 0.0
        record = cls(g_r)
        record.values["retain_loss"] = retain_loss.item()
        record.values["forget_loss"] = forget_loss.item()
        # rounding can put the cosine of parallel gradients slightly outside -1..1
        record.values["angle"] = math.degrees(math.acos(max(-1.0, min(1.0, cosine))))
        return record

    def after_forget_part(self, u: Sequence[Tensor], rate: float, retain_loss: Callable[[], Tensor]) -> None:
        """Record the effect of theta <- theta - rate * u, after it was applied."""
        # Gradients pass the quantizers straight through, so g_r is that of a surrogate: the prediction can be off
        # by as much as the rounding of codes changes the loss. This is why both values are recorded.
        product = float(inner_product(self.g_r, u))
        norms = math.sqrt(float(inner_product(self.g_r, self.g_r)) * float(inner_product(u, u)))
        self.values["predicted_forget_change"] = -rate * product
        self.values["forget_alignment"] = product / norms if norms > 0 else 0.0
        self.values["measured_forget_change"] = self._loss_now(retain_loss) - self.values["retain_loss"]

    def after_retain_part(self, v: Sequence[Tensor], rate: float, retain_loss: Callable[[], Tensor]) -> None:
        """Record the effect of the whole step, after theta <- theta - rate * v was applied too."""
        # first-order changes of the two parts add up
        self.values["predicted_change"] = self.values["predicted_forget_change"] - rate * float(
            inner_product(self.g_r, v)
        )
        self.values["measured_change"] = self._loss_now(retain_loss) - self.values["retain_loss"]

    @staticmethod
    @torch.no_grad()
    def _loss_now(retain_loss: Callable[[], Tensor]) -> float:
        return retain_loss().item()
