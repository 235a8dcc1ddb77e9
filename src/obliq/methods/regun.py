"""Reference-guided unlearning (ReGUn): teach forgotten samples what the original predicts, on average, on unseen ones.

Paper: Mirlach et al., "Reference-guided machine unlearning" (ICLR 2026 workshops, arXiv 2603.11210). Reference code:
read at 088d6bf, not copied, since it has no license. We read the code and the abstract, not the equations of the
paper. Each step takes a forget batch B_f and a retain batch B_r. With p_o the predictions of the frozen original in
evaluation mode, and one held-out sample x_j drawn for each forgotten one,

    q = mean_j p_o(x_j)                                                      (1)
    L = KL(q || p(x_f)) / 2 + CE(B_r) / 2                                    (2)

The same q is taught to every sample of the batch. With `selector="class_informed"`, the paper's form, the x_j are drawn
to have the labels of the batch; with `uniform`, the default of the code, they are any held-out samples. In a random
request q is therefore close to the frequencies of the classes, and the method ends near retraining only because it
stops early. For a forgotten class, q of `class_informed` is what the original predicts on unseen samples of that class,
so that the class is taught and not forgotten.

Deviations: (2) is computed as equation (2) of `obliq.training.orthogonal_descent` at twice the rate, with
`projection="never"` and no clipping; the other fields of that descent are there for comparisons. An epoch is a pass
over the retain set (there over the forget set), so that methods can be compared at equal cost. Retain batches of 64
(there 128), and forget batches by the size of the set unless `forget_batch` is given. Cosine schedule (there constant).
Weight decay 5e-4 on weights (there none). Forget batches are normalised by the running statistics and never change
them; retain batches follow `batch_norm`. No selector by nearest features. A class without held-out samples draws from
all of them.

In quantized networks all parameters are trained, learned steps included. A learned step changes by at most a tenth in
one update (`obliq.quantization.keep_steps_near_`). Batch-norm statistics stay as they are unless `batch_norm="retain"`.
"""

import copy
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from obliq.data import Splits
from obliq.gradients import ProjectionWhen
from obliq.methods.method import Search
from obliq.run import Run
from obliq.training.loop import move_to_device, seeded
from obliq.training.masks import Mask
from obliq.training.orthogonal_descent import OrthogonalDescent
from obliq.training.orthogonal_rounds import start_rounds
from obliq.training.passes import Passes, SetSizes
from obliq.training.prediction import predict

DRAWS = 9
"""Purpose of the generator that draws held-out samples."""


@final
@dataclass(frozen=True, kw_only=True)
class ReGUn(OrthogonalDescent):
    """Teach forgotten samples the average prediction on unseen ones. Defaults are starting points, not tuned.

    Attributes:
        selector: Held-out samples of a step have the labels of the forget batch (`class_informed`), or any (`uniform`).
        projection: When to project the forget gradient g_f against the retain gradient g_r: `always`, `on_conflict`
            (only if <g_f, g_r> < 0), or `never` as in the paper.
        clip: Largest length of each raw gradient. 0 sets no limit, as in the paper.
    """

    selector: Literal["class_informed", "uniform"] = "class_informed"
    projection: ProjectionWhen = "never"
    clip: float = 0.0
    epochs: int = 5
    learning_rate: float = 0.005
    retain_batch: int = 64

    version: ClassVar[int] = 1
    search: ClassVar[Search] = {"learning_rate": (0.0003, 0.001, 0.003), "forget_weight": (0.3, 1.0)}

    def count_passes(self, sizes: SetSizes) -> Passes:
        """One round."""
        return self.passes_of_rounds(sizes.forget, sizes.retain)

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after descending on both losses. The retain, forget and holdout sets are read.

        Outside `mask` it stays as it was; with a mask, `movable` has no effect.
        """
        mask = mask or self.mask(model, splits.forget, run)
        with seeded(run):
            network = move_to_device(copy.deepcopy(model), run)
            predictions = predict(network, splits.holdout, run.device).softmax(dim=1)
            draws = run.generator(purpose=DRAWS)

            def loss(logits: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
                wanted = labels.cpu() if self.selector == "class_informed" else None
                drawn = draw_held_out(splits.holdout.labels, wanted, len(labels), draws)
                return reference_loss(logits.float(), predictions[drawn].mean(dim=0).to(run.device))

            rounds = start_rounds(self, network, splits.forget, splits.retain, mask, run)
            rounds.run_round(rounds.passes(splits.forget), loss)
            return network.eval()


def draw_held_out(
    held_out: Int[Tensor, " holdout"],
    labels: Int[Tensor, " batch"] | None,
    count: int,
    generator: torch.Generator,
) -> Int[Tensor, " count"]:
    """Positions of `count` held-out samples, drawn with repetition.

    Args:
        held_out: labels of all held-out samples.
        labels: the label that each drawn sample is to have, where there are such samples; None for any.
        count: how many; the length of `labels`.
        generator: draws.
    """
    chance = torch.rand(count, generator=generator)
    if labels is None:
        return (chance * len(held_out)).long()
    fits = held_out.unsqueeze(0) == labels.unsqueeze(1)
    fits |= ~fits.any(dim=1, keepdim=True)  # a class without held-out samples: any
    number = (chance * fits.sum(dim=1)).long()  # of the fitting samples, in their order
    return ((fits.cumsum(dim=1) == number.unsqueeze(1) + 1) & fits).long().argmax(dim=1)


def reference_loss(
    logits: Float[Tensor, "batch classes"], reference: Float[Tensor, " classes"]
) -> Float[Tensor, ""]:
    """KL(q || p) with one distribution q for the whole batch, averaged over the batch."""
    return F.kl_div(F.log_softmax(logits, dim=1), reference.expand_as(logits), reduction="batchmean")
