"""Accelerated approximate unlearning (A-AMU): give forgotten samples the distribution of losses of unseen ones.

Paper: Khan, "Leveraging distribution matching to make approximate machine unlearning faster" (2025, arXiv
2507.09786), its loss-centric part. Reference code: algebraicdianuj/DC_Unlearning, `accelerated_cf.py` (read at
6cbe1f0). We read the code and the abstract, not the equations of the paper. Each step takes a retain batch B_r, a
forget batch, and a batch of unseen samples with labels that occur among forgotten ones. With l the cross-entropies of
a batch under the network as it is, those of unseen samples held constant,

    L = CE(B_r)^2 + weight * MMD^2(T(l_f), T(l_u))                           (1)
    r = log(1 + l),  F_i = mean_j sigmoid(2 max(r_i - r_j, 0)),  T_i = Phi^-1(F_i)    (2)

MMD is the maximum mean discrepancy with a Gaussian kernel of width 1, Phi the distribution function of the normal
distribution. The weight is 34.

As published (`ranks="own"`), j runs over the set that i is of. T then depends on differences within a set only. MMD
is 0 for two sets whose log losses differ by a constant, so the method matches the spread of the losses and not their
level. With `ranks="pooled"`, which is ours, j runs over both sets together, which sees the level as well.

Deviations: unseen samples come from the holdout set (there 70 % of the test set). Both sets are read in shuffled
passes, whose last batch may be smaller; the code draws both anew for every step, and unseen samples of the classes in
that forget batch. (1) is equation (2) of `obliq.training.orthogonal_descent` with `projection="never"` and no clipping;
the other fields of that descent are there for comparisons. Gradient descent with momentum, a cosine schedule and weight
decay (there Adam at 2.4e-4, or 1e-4, for one epoch). Forget and unseen batches are normalised by the running statistics
and never change them, where the code lets both move the statistics. A class without held-out samples draws from all of
them. The dataset condensation of the paper (Blend) is left out.

In quantized networks all parameters are trained, learned steps included. A learned step changes by at most a tenth
in one update (`obliq.quantization.keep_steps_near_`). Batch-norm statistics stay as they are unless
`batch_norm="retain"`.
"""

import copy
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from obliq.data import Splits
from obliq.data.batches import cycle
from obliq.gradients import ProjectionWhen
from obliq.methods.method import Search
from obliq.run import Run
from obliq.training.loop import move_to_device, seeded
from obliq.training.masks import Mask
from obliq.training.orthogonal_descent import OrthogonalDescent
from obliq.training.orthogonal_rounds import label_loss, start_rounds
from obliq.training.passes import WITHOUT_GRADIENTS, Passes, SetSizes, mean_batch

SHARPNESS = 2.0
"""Factor in the sigmoid of equation (2), as in the public code."""
FURTHEST = 60.0
"""Limit of T, as in the public code."""


@final
@dataclass(frozen=True, kw_only=True)
class AAMU(OrthogonalDescent):
    """Match the losses of forgotten and unseen samples in distribution. Defaults are starting points, not tuned.

    Attributes:
        ranks: Compare each loss with its `own` set, as published, or with both sets `pooled`, which sees their level.
        forget_weight: Weight of the discrepancy between the two distributions.
        forget_batch: Forget samples per step, and unseen ones; the last batch of a pass may be smaller. The reference
            code takes four times the retain batch.
        projection: When to project the forget gradient g_f against the retain gradient g_r: `always`, `on_conflict`
            (only if <g_f, g_r> < 0), or `never` as in the paper.
        clip: Largest length of each raw gradient. 0 sets no limit, as in the paper.
    """

    ranks: Literal["own", "pooled"] = "own"
    forget_weight: float = 34.0
    forget_batch: int = 256
    projection: ProjectionWhen = "never"
    clip: float = 0.0
    epochs: int = 5
    learning_rate: float = 0.0003
    retain_batch: int = 64

    version: ClassVar[int] = 1
    search: ClassVar[Search] = {"learning_rate": (0.0001, 0.0003, 0.001), "forget_weight": (10.0, 34.0)}

    def count_passes(self, sizes: SetSizes) -> Passes:
        """A round, and the unseen samples of each step without gradients."""
        steps = self.steps_of_round(sizes.retain)
        unseen = steps * mean_batch(sizes.like_forget, self.forget_batch_of_round(sizes.forget, steps))
        one = self.passes_of_rounds(sizes.forget, sizes.retain).most
        return Passes.exactly(one + WITHOUT_GRADIENTS * unseen)

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after descending on both losses. The retain, forget and holdout sets are read.

        Outside `mask` it stays as it was; with a mask, `movable` has no effect.
        """
        mask = mask or self.mask(model, splits.forget, run)
        with seeded(run):
            network = move_to_device(copy.deepcopy(model), run)
            alike = torch.isin(splits.holdout.labels, splits.forget.labels)
            held_out = splits.holdout.where(alike) if bool(alike.any()) else splits.holdout

            def retain_loss(logits: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
                return label_loss(logits, labels, positions) ** 2

            def forget_loss(logits: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
                inputs, of_unseen = next(unseen)
                with torch.no_grad():
                    answers = network(inputs).float()
                lost = F.cross_entropy(logits.float(), labels, reduction="none")
                usual = F.cross_entropy(answers, of_unseen, reduction="none")
                pooled = torch.cat([lost, usual]) if self.ranks == "pooled" else None
                return squared_discrepancy(
                    normal_scores(lost, lost if pooled is None else pooled),
                    normal_scores(usual, usual if pooled is None else pooled.detach()),
                )

            rounds = start_rounds(self, network, splits.forget, splits.retain, mask, run, retain_loss)
            draws = run.generator(purpose=4)
            unseen = cycle(held_out, rounds.forget_batch, draws, run.device, self.augment)
            rounds.run_round(rounds.passes(splits.forget), forget_loss)
            return network.eval()


def normal_scores(
    losses: Float[Tensor, " samples"], among: Float[Tensor, " others"]
) -> Float[Tensor, " samples"]:
    """T of equation (2): where each loss stands among others, as a value of the normal distribution."""
    higher = F.relu(losses.log1p().unsqueeze(1) - among.log1p().unsqueeze(0))
    share = torch.sigmoid(SHARPNESS * higher).mean(dim=1)
    # Phi^-1(1) is infinite, and so is its slope: float32 rounds to 1 what is closer
    largest = 1 - torch.finfo(share.dtype).eps
    scores: Tensor = torch.special.ndtri(share.clamp(max=largest)).clamp(-FURTHEST, FURTHEST)
    return scores


def squared_discrepancy(
    first: Float[Tensor, " samples"], second: Float[Tensor, " others"]
) -> Float[Tensor, ""]:
    """MMD^2 with the kernel exp(-(a - b)^2 / 2), each sample paired with itself as well (the biased estimate).

    Source: Gretton et al., "A kernel two-sample test" (JMLR 2012), equation 5.
    """

    def kernel(one: Tensor, other: Tensor) -> Tensor:
        return torch.exp(-((one.unsqueeze(1) - other.unsqueeze(0)) ** 2) / 2).mean()

    return kernel(first, first) + kernel(second, second) - 2 * kernel(first, second)
