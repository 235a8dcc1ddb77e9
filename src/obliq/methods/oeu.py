"""Orthogonal entropy unlearning (OEU), a reconstruction.

Paper: Zhang et al., "Forget by uncertainty: orthogonal entropy unlearning for quantized neural networks", ICML 2026,
arXiv 2602.00567. Reference code: none published. Reconstructed from the abstract: the forget objective raises the
entropy of the prediction, and its gradient is projected onto the orthogonal complement of the retain gradient.
Everything else is our choice, and each open choice is a field; the equations are those of
`obliq.training.orthogonal_descent`.

In quantized networks all parameters are trained, learned steps included, unless `steps="frozen"`. A learned step
changes by at most a tenth in one update (`obliq.quantization.keep_steps_near_`). Batch-norm statistics stay as they
are unless `batch_norm="retain"`.
"""

import copy
from dataclasses import dataclass
from typing import ClassVar, Literal, final

from torch import nn

from obliq.data import Splits
from obliq.gradients import negative_entropy, uniform_loss
from obliq.methods.method import Search
from obliq.run import Run
from obliq.training.loop import move_to_device, seeded
from obliq.training.masks import Mask
from obliq.training.orthogonal_descent import OrthogonalDescent
from obliq.training.orthogonal_rounds import start_rounds
from obliq.training.passes import Passes, SetSizes


@final
@dataclass(frozen=True, kw_only=True)
class OEU(OrthogonalDescent):
    """Raise uncertainty on the forget set along directions that, to first order, leave the retain loss unchanged.

    Attributes:
        objective: Forget loss L_f. `entropy` is minus the mean entropy. `uniform` is KL(uniform || p): it has the same
            optimum, and its gradient does not vanish on confident samples.
    """

    objective: Literal["entropy", "uniform"] = "entropy"

    version: ClassVar[int] = 1
    search: ClassVar[Search] = {"learning_rate": (0.02, 0.05), "forget_weight": (0.2, 1.0, 2.0)}

    def count_passes(self, sizes: SetSizes) -> Passes:
        """One round."""
        return self.passes_of_rounds(sizes.forget, sizes.retain)

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after descending on both losses, with the forget gradient projected.

        Outside `mask` it stays as it was; with a mask, `movable` has no effect.
        """
        mask = mask or self.mask(model, splits.forget, run)
        loss = negative_entropy if self.objective == "entropy" else uniform_loss
        with seeded(run):
            network = move_to_device(copy.deepcopy(model), run)
            rounds = start_rounds(self, network, splits.forget, splits.retain, mask, run)
            rounds.run_round(rounds.passes(splits.forget), lambda logits, labels, positions: loss(logits))
            return network.eval()
