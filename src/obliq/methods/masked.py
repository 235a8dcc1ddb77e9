"""A wrapper: another method that may only move the parameters on which the forget loss depends most.

Source: the mask of Fan et al., "SalUn" (ICLR 2024), which the paper applies to other methods as well.
Deviations: none; around random labels this is SalUn, bit for bit.

Masked training cannot be applied to a finished result. Without the masked parameters' movement, the others would
have moved differently; writing the original's values into a finished network gives another, worse network. The mask
must be held at every step, which only the method itself can do. So this class wraps methods whose `unlearn` takes a
mask (`Maskable`). A method that descends by `obliq.training.descent.descend` passes its `mask` on to it; any other
holds it by `obliq.training.masks.Restraint`. The result is compared with the original, and a change outside the mask
is an error.

In quantized networks latent weights, learned steps and batch norm's scale and shift are masked alike. Integer codes
of frozen weights can change with a step that may move. Batch-norm statistics are no parameters, so the wrapped
method decides about them.
"""

import inspect
from dataclasses import dataclass
from typing import ClassVar, Protocol, final, runtime_checkable

from torch import nn

from obliq.data import Splits
from obliq.errors import ModelError
from obliq.run import Run
from obliq.training.descent import require_share
from obliq.training.loop import require_at_least
from obliq.training.masks import Mask, saliency_mask


@runtime_checkable
class Maskable(Protocol):
    """A method that can hold parameters at their values."""

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """As for every method; entries where `mask` is False keep their values, bit for bit."""


@final
@dataclass(frozen=True, kw_only=True)
class Masked:
    """Another method on the salient parameters alone.

    Attributes:
        method: The method that moves these parameters.
        share: Share of all parameter entries that may change, the most salient first.
        batch_size: Forget samples per gradient from which the mask is computed.
    """

    method: Maskable
    share: float = 0.5
    batch_size: int = 128
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        require_at_least(1, batch_size=self.batch_size)
        require_share(share=self.share)
        if "mask" not in inspect.signature(self.method.unlearn).parameters:
            raise ModelError(f"{type(self.method).__name__} takes no mask; expected a method that does")

    def unlearn(self, model: nn.Module, splits: Splits, run: Run) -> nn.Module:
        """The result of the method within the mask.

        Raises:
            ModelError: when the method moved a parameter outside the mask.
        """
        mask = saliency_mask(model, splits.forget, share=self.share, batch_size=self.batch_size, run=run)
        result = self.method.unlearn(model, splits, run, mask=mask)
        before = dict(model.named_parameters())
        for name, after in result.named_parameters():
            moved = after.detach().cpu() != before[name].detach().cpu()
            if bool((moved & ~mask[name].cpu()).any()):
                raise ModelError(
                    f"{type(self.method).__name__} moved {name} outside the mask; expected a method that holds it"
                )
        return result
