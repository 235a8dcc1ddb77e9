"""Fine-tuning on the retain set alone, in the hope that the rest fades.

Source: the FT baseline of the field; Warnecke et al., "Machine unlearning of features and labels"
(NDSS 2023); reference code: OPTML-Group/Unlearn-Saliency, `FT`.
Deviations: cosine schedule (constant there); weight decay leaves learned steps, batch norm and biases
alone. In a quantized network every parameter is trained, learned steps included, and batch-norm
statistics follow the retain set.
"""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import nn

from obliq.data import Splits
from obliq.methods.contract import Search
from obliq.run import Run
from obliq.training import Recipe, train


@final
@dataclass(frozen=True, kw_only=True)
class FineTune:
    """Continue training on the retain set.

    Attributes:
        epochs: passes over the retain set.
        learning_rate: at the start.
        batch_size: samples a step.
        momentum: of the descent.
        weight_decay: on weights.
        augment: random crops and flips; for natural images.
    """

    search: ClassVar[Search] = {"learning_rate": (0.01, 0.03, 0.06, 0.1, 0.2, 0.4)}

    epochs: int = 5
    learning_rate: float = 0.01
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    augment: bool = False

    def unlearn(self, model: nn.Module, splits: Splits, run: Run) -> nn.Module:
        """The network after more training on the retain set."""
        recipe = Recipe(
            epochs=self.epochs, learning_rate=self.learning_rate, batch_size=self.batch_size, warmup=0.0,
            momentum=self.momentum, weight_decay=self.weight_decay, augment=self.augment,
        )  # fmt: skip
        return train(model, splits.retain, recipe, run)
