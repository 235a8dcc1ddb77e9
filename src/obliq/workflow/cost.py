"""What unlearning will cost, compared with retraining: passes of samples through the network, counted beforehand.

At equal batch sizes, time per pass is nearly the same for every iterative method: 0.83 to 1.09 of that in fine-tuning
(benchmarks/results/step_cost.md). The numbers of passes therefore compare times before anything is run. Small batches
take longer for each pass, which shows most for small networks.
"""

import math
from dataclasses import dataclass

from obliq.data import Splits
from obliq.methods import (
    OEU,
    SCRUB,
    Calibrated,
    FineTune,
    GradientAscent,
    GradientDifference,
    L1Sparse,
    Method,
    NoT,
    ProxyMatching,
    RandomLabel,
    ReGUn,
    SalUn,
    SFRon,
    UGradSL,
)
from obliq.training.loop import Recipe, steps_per_epoch
from obliq.training.orthogonal_descent import OrthogonalDescent, automatic_forget_batch

WITHOUT_GRADIENTS = 1 / 3
"""A pass without gradients, in passes with gradients: a backward pass costs about two forward ones."""


@dataclass(frozen=True, kw_only=True)
class CostEstimate:
    """Passes of single samples with gradients; passes without count a third.

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
        The estimate; None for methods whose passes are not known here.
    """
    forget, retain = len(splits.forget), len(splits.retain)
    found = _passes(method, forget, retain, classes=bool(splits.forgotten_classes))
    if found is None:
        return None
    least, most = found
    return CostEstimate(least=round(least), most=round(most), retraining=recipe.epochs * retain)


def _passes(method: Method, forget: int, retain: int, *, classes: bool) -> tuple[float, float] | None:
    match method:
        case Calibrated():
            one = _orthogonal(method, forget, retain, even=method.draw == "even")
            return one, method.rounds * one
        case ProxyMatching():
            proxies = method.proxies * method.proxy_recipe(retain).epochs * retain
            one = _orthogonal(method, forget, retain, even=False)
            if classes:  # takes all rounds, and fits probes to features
                return _once(
                    proxies + method.rounds * (one + WITHOUT_GRADIENTS * method.probed(forget, retain))
                )
            return proxies + one, proxies + method.rounds * one
        case OEU() | ReGUn():
            return _once(_orthogonal(method, forget, retain, even=True))
        case FineTune() | L1Sparse() | NoT():
            return _once(method.epochs * retain)
        case GradientAscent():
            return _once(method.epochs * forget)
        case RandomLabel():
            return _once(method.epochs * (retain + forget))
        case SalUn():  # the mask takes one pass over the forget set
            return _once(forget + method.epochs * (retain + forget))
        case GradientDifference() | UGradSL():
            steps = steps_per_epoch(retain, method.retain_batch)
            return _once(method.epochs * (retain + steps * _mean_batch(forget, method.forget_batch)))
        case SCRUB():  # each sample passes through the teacher, too, without gradients
            passed = method.epochs * retain + min(method.epochs, method.forget_epochs) * forget
            return _once(passed * (1 + WITHOUT_GRADIENTS))
        case SFRon():  # the mask takes a pass over both sets, and each forget step is followed by repair steps
            steps = method.epochs * steps_per_epoch(retain, method.retain_batch)
            forget_steps = math.ceil(steps / method.repair_steps)
            mean = _mean_batch(forget, method.forget_batch)
            return _once(retain + forget + method.epochs * retain + forget_steps * mean)
    return None


def _once(passes: float) -> tuple[float, float]:
    return passes, passes


def _orthogonal(method: OrthogonalDescent, forget: int, retain: int, *, even: bool) -> float:
    """One round: a retain and a forget batch in each step."""
    kept = min(retain, method.retain_limit or retain)
    steps = method.steps_of_round(retain)
    batch = method.forget_batch or automatic_forget_batch(forget, steps)
    return method.epochs * kept + steps * (_mean_batch(forget, batch) if even else min(batch, forget))


def _mean_batch(samples: int, size: int) -> float:
    """The mean size of the batches of a pass, of which the last may be smaller."""
    return samples / math.ceil(samples / size)
