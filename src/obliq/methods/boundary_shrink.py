"""Boundary shrink: give each forgotten sample the class just across the decision boundary.

Paper: Chen et al., "Boundary unlearning: rapid forgetting of deep networks via shifting the decision
boundary", CVPR 2023, section 3.3. Reference code: TY-LEE-KR/Boundary-Unlearning-Code,
`boundary_shrink`; OPTML-Group/Unlearn-Saliency, `boundary_sh`.

Deviations: the neighbouring classes are computed once, before the descent, and not batch by batch in every pass. The
network that gives them is frozen, so they are the same. The attack (one signed gradient step, FGSM) works on raw
inputs, whatever standardisation the data set has: back to raw values, the step, the clamp to 0..1 and the rounding
to 1/255 where inputs are 8-bit, and forward again. The public ports clamp standardised inputs to 0..1. Where inputs
are stored as floats, their valid range is unknown: the step is then in their own units, and nothing is clamped or
rounded. Cosine schedule (there constant). With frozen batch-norm statistics this is kinder to accuracy than the
public code, whose statistics follow the forget batches.

In quantized networks the attack's gradient passes the input quantizer straight through. It is zero where that
quantizer saturates; there the input keeps its value. All parameters are trained, learned steps included, and steps
never decay. A learned step changes by at most a tenth in one update (`obliq.quantization.keep_steps_near_`).
Batch-norm statistics are frozen; `batch_norm="forget"` lets them follow the forget batches as the reference code
does.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from obliq.data import Collection, Examples, Splits
from obliq.data.batches import batches, numbered_cycle
from obliq.data.raw_values import RawValues, eight_bit
from obliq.methods.method import Access, Search
from obliq.run import Run
from obliq.training.descent import descend, require_descent, set_batch_norm_mode
from obliq.training.loop import move_to_device, require_at_least, seeded, steps_per_epoch
from obliq.training.masks import Mask
from obliq.training.passes import WITHOUT_GRADIENTS, Passes, SetSizes


@final
@dataclass(frozen=True, kw_only=True)
class BoundaryShrink:
    """Train forgotten samples to the class across their nearest decision boundary.

    Attributes:
        bound: Length of the attack's step, in raw input values (0 to 1 for 8-bit inputs).
        epochs: Passes over the forget set.
        learning_rate: Learning rate at the start. It falls to zero along half a cosine.
        batch_size: Samples per step.
        momentum: Momentum of the descent.
        weight_decay: Weight decay, applied to weights only.
        batch_norm: Batch-norm statistics stay `frozen`, or follow the `forget` batches.
    """

    version: ClassVar[int] = 1
    access: ClassVar[Access] = "nothing"
    search: ClassVar[Search] = {"learning_rate": (1e-5, 2e-5, 5e-5), "bound": (0.03, 0.1)}

    bound: float = 0.1
    epochs: int = 10
    learning_rate: float = 1e-5
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 0.0
    batch_norm: Literal["frozen", "forget"] = "frozen"

    def __post_init__(self) -> None:
        require_at_least(1, epochs=self.epochs, batch_size=self.batch_size)
        require_at_least(0, bound=self.bound)
        require_descent(
            learning_rate=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )

    def count_passes(self, sizes: SetSizes) -> Passes:
        """One attack on the forget set, its predictions after that, and passes over it."""
        return Passes.exactly((self.epochs + 1 + WITHOUT_GRADIENTS) * sizes.forget)

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after descending towards the neighbouring classes; outside `mask` it stays as it was."""
        with seeded(run):
            network = move_to_device(copy.deepcopy(model), run)
            labels = neighbouring_classes(network, splits.forget, self.bound, self.batch_size, run)
            labels = labels.to(run.device)
            stream = numbered_cycle(splits.forget, self.batch_size, run.generator(purpose=1), run.device)
            length = steps_per_epoch(len(splits.forget), self.batch_size)

            def losses(epoch: int) -> Iterator[Tensor]:
                for inputs, _, positions in islice(stream, length):
                    set_batch_norm_mode(network, self.batch_norm, "forget", len(positions))
                    yield F.cross_entropy(network(inputs), labels[positions.to(run.device)])

            descend(
                network.train(),
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


def neighbouring_classes(
    network: nn.Module, examples: Examples, bound: float, batch_size: int, run: Run
) -> Int[Tensor, " samples"]:
    """The class that the network gives each sample after one adversarial step, on the processor.

    It is the sample's own class where the step does not cross a boundary. Leaves the network in evaluation mode.
    """
    network.eval()
    classes = []
    for inputs, labels in batches(examples, batch_size, None, run.device):
        attacked = adversarial(network, inputs, labels, examples.collection, bound, eight_bit(examples))
        with torch.no_grad():
            classes.append(network(attacked).argmax(dim=1).cpu())
    return torch.cat(classes)


def adversarial(
    network: nn.Module,
    inputs: Float[Tensor, "batch ..."],
    labels: Int[Tensor, " batch"],
    collection: Collection,
    bound: float,
    eight_bit: bool,
) -> Float[Tensor, "batch ..."]:
    """Standardised inputs after one step up the loss: x + bound * sign(grad), in raw values.

    Standardisation increases with each value, so the sign of the gradient is the same for raw and standardised
    values. Lengths and limits are not, so the step is taken in raw values.
    """
    inputs = inputs.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(F.cross_entropy(network(inputs), labels), inputs)
    values = RawValues.of(collection, inputs, eight_bit)
    raw = values.raw(inputs.detach()) + bound * gradient.sign()
    if eight_bit:
        raw = values.possible(raw).mul(255).round().div(255)
    return values.standardised(raw)
