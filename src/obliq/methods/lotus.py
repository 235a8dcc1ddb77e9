"""LoTUS: learn the original's own predictions, softened on the forget set until they are no better than on unseen data.

Paper: Spartalis et al., "LoTUS: large-scale machine unlearning with a taste of uncertainty" (CVPR 2025, arXiv
2503.18314); the name is short for logits tempering unlearning strategy. Reference code: cspartalis/LoTUS,
`src/unlearning_methods/lotus_class.py` (read at 35ae25e). We read the code and the abstract, not the equations of
the paper; its information-theoretic bound is that accuracy on the forget set need not fall below that on unseen
data. A student starts as the original and descends on the cross-entropy to

    forget set: softmax((z + g) / T),    retain set: one-hot of argmax(z + g),    g standard Gumbel noise       (1)

with z the logits of the original (the teacher) and new noise for each batch. This is a Gumbel-softmax sample: soft
for samples to forget and hard for samples to keep. Before each epoch, with accuracies from 0 to 1,

    T = exp(alpha * (student's accuracy on the forget set - teacher's accuracy on unseen data))                 (2)

and training ends when that difference is at most -`margin`. Unseen data is the holdout set. A class of which nothing
is retained counts with accuracy 0, as in the class-wise form of the code. A share of the retain set, drawn once, is
used together with the forget set. For random requests the code uses alpha 8 for ResNet-18 on CIFAR-10 and 2 elsewhere,
chosen from 2, 4, 8, 16; for a class with ResNet-18 it uses 32.

Deviations: stochastic gradient descent with a cosine schedule and our own rate (there AdamW at a constant 1e-4).
Accuracies are not rounded to two decimals. Weight decay leaves learned steps, batch norm and biases alone.

In quantized networks teacher and student have the same precision, and every parameter of the student is trained,
learned steps included. A learned step changes by at most a tenth in one update (`obliq.quantization.keep_steps_near_`).
Batches hold both sets and, as in the code, batch norm follows them, unless it is `frozen`. True labels are not used for
training; they only count in the accuracies.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from obliq.data import Examples, Splits
from obliq.data.batches import numbered_cycle
from obliq.methods.method import Search
from obliq.run import Run
from obliq.training.bounded_exponential import bounded_exp
from obliq.training.descent import descend, require_descent, require_share, set_batch_norm_mode
from obliq.training.loop import move_to_device, require_at_least, seeded, steps_per_epoch
from obliq.training.masks import Mask
from obliq.training.passes import WITHOUT_GRADIENTS, Passes, SetSizes
from obliq.training.prediction import accuracy

LOWEST_TEMPERATURE = 1e-30
"""Labels are one-hot far above it, and logits divided by it are still finite."""


@final
@dataclass(frozen=True, kw_only=True)
class LoTUS:
    """Distil the original's predictions, softened on the forget set. Defaults are starting points, not tuned.

    Attributes:
        alpha: How fast the temperature rises while accuracy on the forget set is above that on unseen data.
        margin: Stop when accuracy on the forget set is this far below accuracy on unseen data, from 0 to 1.
        retain_share: Share of the retain set that is used together with the forget set. It is drawn once.
        epochs: Passes over the forget set and that share.
        learning_rate: Learning rate at the start. It falls to zero along half a cosine.
        batch_size: Samples per step.
        momentum: Momentum of the descent.
        weight_decay: Weight decay, applied to weights only.
        batch_norm: Batch-norm statistics stay `frozen`, or follow `all` batches.
        augment: Use random crops and flips, for natural images.
    """

    version: ClassVar[int] = 1
    search: ClassVar[Search] = {
        "learning_rate": (0.01, 0.05),
        "alpha": (4.0, 16.0, 32.0),  # its authors use 32 for a class request of ResNet-18
    }

    alpha: float = 8.0
    margin: float = 0.01
    retain_share: float = 0.3
    epochs: int = 5
    learning_rate: float = 0.01
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_norm: Literal["frozen", "all"] = "all"
    augment: bool = False

    def __post_init__(self) -> None:
        require_at_least(1, epochs=self.epochs, batch_size=self.batch_size)
        require_at_least(0, alpha=self.alpha)
        require_descent(
            learning_rate=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )
        require_share(retain_share=self.retain_share, margin=self.margin)

    def count_passes(self, sizes: SetSizes) -> Passes:
        """The student's and the teacher's passes over forget set and share, up to the epoch in which training ends."""
        both = sizes.forget + int(self.retain_share * sizes.retain)
        return Passes(0, self.epochs * both * (1 + WITHOUT_GRADIENTS))

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The student; outside `mask` it stays as it was."""
        with seeded(run):
            teacher = move_to_device(copy.deepcopy(model), run).eval()
            network = move_to_device(copy.deepcopy(model), run).train()
            order, draws, noise = (run.generator(purpose=purpose) for purpose in (1, 6, 8))
            count = int(self.retain_share * len(splits.retain))
            chosen = splits.retain.indices[torch.randperm(len(splits.retain), generator=draws)[:count]]
            both = Examples(splits.retain.collection, torch.cat([splits.forget.indices, chosen]))
            stream = numbered_cycle(both, self.batch_size, order, run.device, self.augment)
            length = steps_per_epoch(len(both), self.batch_size)
            unseen = accuracy_if_unseen(teacher, splits, run)

            def losses(epoch: int) -> Iterator[Tensor]:
                lead = accuracy(network, splits.forget, run.device) / 100 - unseen
                temperature = max(bounded_exp(self.alpha * lead), LOWEST_TEMPERATURE)  # equation (2)
                run.listen("unlearn", epoch - 1, self.epochs, {"lead": lead, "temperature": temperature})
                if lead <= -self.margin:
                    return
                for inputs, _, positions in islice(stream, length):
                    with torch.no_grad():
                        logits = teacher(inputs).float()
                    gumbel = gumbel_noise(logits.shape, noise).to(logits.device)
                    # the forget set stands first in `both`
                    forgotten = (positions < len(splits.forget)).to(run.device)
                    taught = teacher_labels(logits + gumbel, forgotten, temperature)
                    set_batch_norm_mode(network, self.batch_norm, "forget", len(positions))
                    yield F.cross_entropy(network(inputs).float(), taught)

            descend(
                network,
                losses,
                epochs=self.epochs,
                total=self.epochs * length,
                learning_rate=self.learning_rate,
                momentum=self.momentum,
                weight_decay=self.weight_decay,
                run=run,
                mask=mask,
            )
            return network.eval()


def accuracy_if_unseen(network: nn.Module, splits: Splits, run: Run) -> float:
    """The accuracy, 0 to 1, that a network which never saw the forget set would have on it.

    It is the accuracy on holdout samples of retained classes, and 0 for forgotten samples of other classes.
    """
    # Of a mixed forget set, the share in retained classes counts with holdout accuracy, the rest with 0.
    known = torch.tensor([label not in splits.forgotten_classes for label in splits.forget.labels.tolist()])
    like_them = torch.tensor(
        [label not in splits.forgotten_classes for label in splits.holdout.labels.tolist()]
    )
    if not bool(known.any()) or not bool(like_them.any()):
        return 0.0
    share = known.float().mean().item()
    return share * accuracy(network, splits.holdout.where(like_them), run.device) / 100


def gumbel_noise(shape: torch.Size, generator: torch.Generator) -> Float[Tensor, "batch classes"]:
    """Standard Gumbel noise, drawn on the processor, so that a seed gives the same on every device."""
    return -torch.empty(shape).exponential_(generator=generator).log()  # -log(E) of an exponential E


def teacher_labels(
    logits: Float[Tensor, "batch classes"], forgotten: Bool[Tensor, " batch"], temperature: float
) -> Float[Tensor, "batch classes"]:
    """Labels by equation (1): softmax(logits / temperature) where forgotten, one-hot of the largest logit elsewhere."""
    soft = F.softmax(logits / temperature, dim=1)
    hard = F.one_hot(logits.argmax(dim=1), logits.shape[1]).to(soft.dtype)
    return torch.where(forgotten.unsqueeze(1), soft, hard)
