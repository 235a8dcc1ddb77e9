"""JiT: make the network smooth around forgotten samples in one pass, without the retain set.

Paper: Foster et al., "Zero-shot machine unlearning at scale via Lipschitz regularization" (2024, arXiv 2402.01401);
JiT is its "just in time" unlearning. Reference code: read at c967614, not copied, since it has no license. We read the
code and the abstract, not the equations of the paper. With `copies` noisy copies x' of each sample x of a batch,

    L = 1 / copies * sum_copies sum_batch ||z(x) - z(x')|| / ||x - x'||      (1)

x' is x plus Gaussian noise, clamped to the range of the batch. No gradient flows through z(x'). The sum over the batch
makes the effective rate grow with the batch size, as in the code. The authors state that networks which are not
trained to the end do not unlearn.

Deviations: the gradient is cleared before every step. The code clears it once, so that a step adds the gradients of
all batches before it, as a momentum of 1 would; for a single batch this is the same. Batches are shuffled and of 64
samples (there in order and of 128). The default rate is a third of the paper's for VGG-11, which is larger. Batch-norm
statistics are frozen (there the mode is never set). A cosine schedule; with the one pass of the paper it lowers the
rate within that pass.

In quantized networks noise that is smaller than half a step of the input's quantizer may change nothing, and then
gives no gradient. All parameters are trained, learned steps included. A learned step changes by at most a tenth in one
update (`obliq.quantization.keep_steps_near_`).
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from obliq.data import Splits
from obliq.data.batches import batches
from obliq.methods.method import Access, Search
from obliq.run import Run
from obliq.training.descent import descend, require_above, require_descent, set_batch_norm_mode
from obliq.training.loop import move_to_device, require_at_least, seeded, steps_per_epoch
from obliq.training.masks import Mask
from obliq.training.passes import WITHOUT_GRADIENTS, Passes, SetSizes


@final
@dataclass(frozen=True, kw_only=True)
class JiT:
    """Make the network smooth around forgotten samples. Defaults are starting points, not tuned.

    Attributes:
        noise: Standard deviation of the noise, in standardised input values. The paper takes 0.5 for a class and 0.01
            for random samples.
        copies: Noisy copies of each sample.
        epochs: Passes over the forget set.
        learning_rate: Learning rate at the start. It falls to zero along half a cosine.
        batch_size: Samples per step. The effective learning rate grows with it.
        augment: Use random crops and flips, for natural images.
    """

    version: ClassVar[int] = 1
    access: ClassVar[Access] = "nothing"
    search: ClassVar[Search] = {"learning_rate": (3e-5, 1e-4, 3e-4), "noise": (0.01, 0.5)}

    noise: float = 0.5
    copies: int = 25
    epochs: int = 1
    learning_rate: float = 1e-4
    batch_size: int = 64
    augment: bool = False

    def __post_init__(self) -> None:
        require_at_least(1, copies=self.copies, epochs=self.epochs, batch_size=self.batch_size)
        require_above(0, noise=self.noise)
        require_descent(learning_rate=self.learning_rate, momentum=0.0, weight_decay=0.0)

    def count_passes(self, sizes: SetSizes) -> Passes:
        """Passes over the forget set, and each of its noisy copies without gradients."""
        return Passes.exactly(self.epochs * sizes.forget * (1 + WITHOUT_GRADIENTS * self.copies))

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after descending on equation (1); outside `mask` it stays as it was."""
        with seeded(run):
            network = move_to_device(copy.deepcopy(model), run).train()
            set_batch_norm_mode(network, "frozen", "forget", 0)
            order, draws = run.generator(purpose=1), run.generator(purpose=8)

            def losses(epoch: int) -> Iterator[Tensor]:
                for inputs, _ in batches(splits.forget, self.batch_size, order, run.device, self.augment):
                    logits = network(inputs).float()
                    total = torch.zeros((), device=run.device)
                    for _ in range(self.copies):
                        noise = self.noise * torch.randn(inputs.shape, generator=draws).to(run.device)
                        near = (inputs + noise).clamp(float(inputs.min()), float(inputs.max()))
                        with torch.no_grad():
                            answers = network(near).float()
                        total = total + slopes(logits, answers, inputs, near).sum()
                    yield total / self.copies

            descend(
                network,
                losses,
                epochs=self.epochs,
                total=self.epochs * steps_per_epoch(len(splits.forget), self.batch_size),
                learning_rate=self.learning_rate,
                momentum=0.0,
                weight_decay=0.0,
                run=run,
                mask=mask,
            )
            return network.eval()


def slopes(
    logits: Float[Tensor, "batch classes"],
    answers: Float[Tensor, "batch classes"],
    inputs: Float[Tensor, "batch ..."],
    near: Float[Tensor, "batch ..."],
) -> Float[Tensor, " batch"]:
    """The distance of the outputs divided by that of the inputs, sample by sample; 0 where the inputs are equal."""
    rise = (logits - answers).norm(dim=1)
    run = (inputs - near).flatten(1).norm(dim=1)
    return torch.where(run > 0, rise / run.clamp(min=torch.finfo(run.dtype).tiny), 0.0)
