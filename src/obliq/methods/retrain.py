"""Retraining from scratch without the forget set: the reference of every gap.

Source: the definition of exact unlearning. As in the public code of SalUn and Q-MUL, the recipe is that
of the original network.
Deviations: weights are drawn again under the run's seed, by the same function that drew the original's.

In quantized networks everything is new. Weight steps follow from the new weights, activation steps from a retain
batch, and batch-norm statistics from the retain set. All are then trained or followed as in the original. A learned
step changes by at most a tenth in one update (`obliq.quantization.keep_steps_near_`).
"""

import copy
from dataclasses import dataclass, field
from typing import ClassVar, final

from torch import nn

from obliq.data import Splits
from obliq.models import initialise
from obliq.run import Run
from obliq.training.loop import Recipe, fit


@final
@dataclass(frozen=True, kw_only=True)
class Retrain:
    """Train from scratch on the retain set.

    Attributes:
        recipe: How to train. Pass the recipe of the original.
    """

    recipe: Recipe = field(default_factory=Recipe)
    version: ClassVar[int] = 1

    def unlearn(self, model: nn.Module, splits: Splits, run: Run) -> nn.Module:
        """A network of the same architecture and precision that never saw the forget set."""
        fresh = copy.deepcopy(model)
        initialise(fresh, run.seed)
        return fit(fresh, splits.retain, self.recipe, run)
