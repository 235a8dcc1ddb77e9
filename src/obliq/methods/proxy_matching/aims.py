"""What proxies show a network: targets for forgotten samples, and the answers that are kept on the retain set.

The equations are those of `obliq.methods.proxy_matching.proxy_matching`.
"""

import math
from collections.abc import Collection as Container
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from obliq.data import Examples, Splits
from obliq.errors import DataError
from obliq.gradients import true_class_margin
from obliq.run import Run
from obliq.training.prediction import predict

TOLERATED = 1.0
"""Points of accuracy on unseen samples that the mixture of answers, equation (2), may lose."""
HALVINGS = 3
"""Of its share, before the proxies are left out of it."""
FEWEST_HOLDOUT_SAMPLES = 10
"""Below which holdout samples do not show how confident a network is on unseen data."""
UNKNOWN = 20.0
"""Nats by which logits of forgotten classes are put below all others."""


@dataclass
class Aims:
    """Targets and answers, which follow the network's answers to unseen samples from round to round.

    Attributes:
        moved: the forget set, and the holdout samples of its classes where whole classes are forgotten.
        unseen: holdout samples of retained classes.
        answers: logits for the retain samples in use, equation (2) at the start.
        level: the original's median absolute margin on the unseen samples.
        proxies: mean margins of the proxies on the samples to move, and on the unseen ones.
        targets: of the samples to move, equation (1).
        factor: of the answers.
    """

    moved: Examples
    unseen: Examples
    answers: Float[Tensor, "kept classes"]
    level: float
    proxies: tuple[Float[Tensor, " moved"], Float[Tensor, " unseen"]]
    targets: Float[Tensor, " moved"]
    factor: float = 1.0

    def follow_(self, margin: Float[Tensor, " unseen"]) -> None:
        """Repeat equation (1) with the network's margins on the unseen samples, and correct the answers' level."""
        self.targets = on_the_scale_of(*self.proxies, margin)
        self.factor *= math.sqrt(_ratio(self.level, float(margin.abs().median())))


def aims_of(
    original: nn.Module, proxies: list[nn.Module], splits: Splits, kept: Examples, share: float, run: Run
) -> Aims:
    """What proxies show: targets for the forget set, and answers for the retain samples in use.

    Args:
        original: the network before.
        proxies: networks that were briefly trained on the retain set.
        splits: the roles of the samples.
        kept: the retain samples in use.
        share: b of equation (2).
        run: device.

    Raises:
        DataError: for fewer than `FEWEST_HOLDOUT_SAMPLES` holdout samples of retained classes.
    """
    also, unseen = unseen_samples(splits)
    moved = Examples(splits.forget.collection, torch.cat([splits.forget.indices, also.indices]))

    def of_proxies(examples: Examples) -> Float[Tensor, "proxies samples classes"]:
        return torch.stack([predict(proxy, examples, run.device) for proxy in proxies])

    def mean_margin(answers: Float[Tensor, "proxies samples classes"], labels: Tensor) -> Tensor:
        return torch.stack([true_class_margin(one, labels) for one in answers]).mean(0)

    def of_original(examples: Examples) -> Float[Tensor, "samples classes"]:
        return without_classes(splits.absent_classes, predict(original, examples, run.device))

    own, others = of_original(unseen), of_proxies(unseen)
    mixed = mixed_answers(
        (of_original(kept), of_proxies(kept).mean(0)),
        (own, others.mean(0)),
        kept.labels,
        unseen.labels,
        share,
    )
    wanted = true_class_margin(own, unseen.labels)
    forget = mean_margin(of_proxies(moved), moved.labels)
    holdout = mean_margin(others, unseen.labels)
    return Aims(
        moved=moved,
        unseen=unseen,
        answers=without_classes(splits.absent_classes, mixed),
        level=float(wanted.abs().median()),
        proxies=(forget, holdout),
        targets=on_the_scale_of(forget, holdout, wanted),
    )


def unseen_samples(splits: Splits) -> tuple[Examples, Examples]:
    """The holdout samples of forgotten classes, and those of retained ones.

    Raises:
        DataError: without holdout samples, and for fewer than `FEWEST_HOLDOUT_SAMPLES` of retained classes.
    """
    gone = torch.tensor(sorted(splits.forgotten_classes), dtype=torch.long)
    forgotten = torch.isin(splits.holdout.labels, gone)
    also, unseen = splits.holdout.where(forgotten), splits.holdout.where(~forgotten)
    if len(unseen) < FEWEST_HOLDOUT_SAMPLES:
        raise DataError(
            f"{len(unseen)} holdout samples of retained classes; expected at least "
            f"{FEWEST_HOLDOUT_SAMPLES} that the network was not trained on, which show how confident it is on "
            "unseen data"
        )
    return also, unseen


def mixed_answers(
    kept: tuple[Float[Tensor, "kept classes"], Float[Tensor, "kept classes"]],
    unseen: tuple[Float[Tensor, "unseen classes"], Float[Tensor, "unseen classes"]],
    kept_labels: Int[Tensor, " kept"],
    unseen_labels: Int[Tensor, " unseen"],
    share: float,
) -> Float[Tensor, "kept classes"]:
    """Equation (2) for the retain samples, with the largest share that is as often right as the original.

    Args:
        kept: logits of the original and of the proxies on retain samples.
        unseen: the same on unseen samples.
        kept_labels: of the retain samples.
        unseen_labels: of the unseen samples.
        share: b to begin with; it is halved as often as `HALVINGS`, and then 0.
    """
    right = _correct(unseen[0], unseen_labels)
    for halving in range(HALVINGS + 1):
        mixed, shown = mixture(kept, unseen, unseen_labels, share / 2**halving)
        if 100 * float((_correct(shown, unseen_labels) - right).mean()) >= -TOLERATED:
            errs = _correct(mixed, kept_labels) < _correct(kept[0], kept_labels)
            return torch.where(errs[:, None], kept[0], mixed)
    return kept[0]


def _correct(
    logits: Float[Tensor, "samples classes"], labels: Int[Tensor, " samples"]
) -> Float[Tensor, " samples"]:
    """1 for each correct answer, 0 for each other."""
    return (logits.argmax(1) == labels).float()


def mixture(
    kept: tuple[Float[Tensor, "kept classes"], Float[Tensor, "kept classes"]],
    unseen: tuple[Float[Tensor, "unseen classes"], Float[Tensor, "unseen classes"]],
    labels: Int[Tensor, " unseen"],
    share: float,
) -> tuple[Float[Tensor, "kept classes"], Float[Tensor, "unseen classes"]]:
    """Equation (2) for both, from logits of the original and of the proxies on retain samples and on unseen ones."""

    def level(logits: Float[Tensor, "unseen classes"]) -> float:
        return float(true_class_margin(logits, labels).abs().median())

    scale = _ratio(level(unseen[0]), level(unseen[1]))
    mixed, shown = ((1 - share) * own + share * scale * others for own, others in (kept, unseen))
    factor = _ratio(level(unseen[0]), level(shown))
    return factor * mixed, factor * shown


def _ratio(wanted: float, there: float) -> float:
    """The factor from one level to another; 1 where a level is 0, which no factor changes."""
    return wanted / there if wanted > 0 and there > 0 else 1.0


def on_the_scale_of(
    margin: Float[Tensor, " samples"], unseen: Float[Tensor, " holdout"], wanted: Float[Tensor, " holdout"]
) -> Float[Tensor, " samples"]:
    """Map margins by the line that gives `unseen` the mean and the standard deviation of `wanted`; equation (1).

    Without any spread in `unseen`, which a network that answers everything alike has, only the mean is matched.
    """
    spread = float(unseen.std())
    return wanted.mean() + (float(wanted.std()) / spread if spread > 0 else 1.0) * (margin - unseen.mean())


def without_classes(
    classes: Container[int], logits: Float[Tensor, "samples classes"]
) -> Float[Tensor, "samples classes"]:
    """The logits with those of these classes far below all others, so that they get no probability."""
    known = torch.tensor([label not in classes for label in range(logits.shape[1])])
    lowest = logits.min(dim=1, keepdim=True).values - UNKNOWN
    return torch.where(known, logits, lowest)
