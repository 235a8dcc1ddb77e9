"""What unlearning will cost, compared with retraining: passes of samples through the network, counted beforehand."""

from dataclasses import dataclass

from obliq.data import Splits
from obliq.methods import Counted, Method
from obliq.training.loop import Recipe
from obliq.training.passes import SetSizes


@dataclass(frozen=True, kw_only=True)
class CostEstimate:
    """Passes of single samples, see `obliq.training.passes`.

    Attributes:
        least: of the method.
        most: of the method, without rounds that it undoes (`restarts`); more than `least` where it decides on the way
            how long it goes on.
        retraining: of retraining by the original's recipe.
    """

    least: int
    most: int
    retraining: int

    @property
    def warning(self) -> str:
        """Why retraining may be the better choice; empty where unlearning costs less unless rounds are undone."""
        if self.most <= self.retraining:
            return ""
        found = f"{self.least:,}" if self.least == self.most else f"{self.least:,} to {self.most:,}"
        word = "will" if self.least > self.retraining else "may"
        ratio = f"{self.most / self.retraining:.1f}"
        if self.least != self.most:
            ratio = f"{self.least / self.retraining:.1f} to {ratio}"
        return (
            f"this {word} cost more than retraining: {found} passes of samples through the network, retraining "
            f"{self.retraining:,} (ratio {ratio})"
        )


def estimate_cost(method: Method, splits: Splits, recipe: Recipe) -> CostEstimate | None:
    """Count the passes of a method, and those of retraining by a recipe.

    Args:
        method: with its settings.
        splits: how many samples are forgotten and retained.
        recipe: that retraining would follow.

    Returns:
        The estimate; None for a method that does not count its passes.
    """
    if not isinstance(method, Counted):
        return None
    sizes = SetSizes.of(splits)
    least, most = method.count_passes(sizes)
    return CostEstimate(least=round(least), most=round(most), retraining=recipe.epochs * sizes.retain)
