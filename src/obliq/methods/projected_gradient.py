"""Projected gradient unlearning (PGU): move weights only in directions that retained inputs do not span.

Paper: Hoang et al., "Learn to unlearn for deep neural networks: minimizing unlearning interference with gradient
projection", WACV 2024. Reference code: hnanhtuan/projected_gradient_unlearning, `unlearn.py`. For each convolution
and linear layer let C = sum x x^T over its inputs on the retain set (for a convolution, the patches under its
kernel). Let U be its eigenvectors and S the roots of its eigenvalues; U_k are the leading eigenvectors whose S sum
to at most the share `kept` of all. Each step is plain gradient descent on the forget set with

    g <- g - g U_k U_k^T                                                     (1)
    L = mean(-log(1 - (p_y - offset))) - entropy_weight * H(p)               (2)

A row of the weight times an input x in the span of U_k does not change, so the layer's outputs for retained inputs
hardly change. After each pass, accuracy on the forget set is compared with accuracy on the holdout set. When it is
lower, that network or the one before is taken, whichever is closer. A forgotten class has no such reference, and all
epochs are run, as in `unlearn_class.py`.

Deviations: C is summed over the retain set itself, without augmentation (there: over all training data, minus the
forget set). Patches use the layer's own stride. A network whose accuracy on the forget set is below that on the
holdout set from the start is left as it is (there an error). Where accuracy on the forget set never falls below that
on the holdout set, the network of the last epoch is taken (there the original). Batches are shuffled (there they keep
the order of the data). All `epochs` passes train, the first one at `learning_rate` (there the first only evaluates and
lowers the rate once).

In quantized networks inputs are taken after the activation quantizers, and g is the straight-through gradient of the
latent weights. What holds for latent weights holds for their codes up to rounding. As in the reference, everything
without a projection stays as it is: biases, batch norm with its statistics, and the learned steps.
"""

import copy
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from obliq.data import Examples, Splits
from obliq.data.batches import batches
from obliq.gradients import entropy, gradient_of, unfold_inputs
from obliq.methods.method import Access, Search
from obliq.run import Run
from obliq.training.descent import require_above, require_share, set_batch_norm_mode
from obliq.training.loop import mixed_precision, move_to_device, require_at_least, seeded
from obliq.training.masks import Mask, Restraint
from obliq.training.passes import WITHOUT_GRADIENTS, Passes, SetSizes
from obliq.training.prediction import accuracy
from obliq.training.step_losses import StepLosses


@final
@dataclass(frozen=True, kw_only=True)
class ProjectedGradient:
    """Raise the loss on the forget set, only in directions that the inputs of the retain set do not span.

    Attributes:
        kept: Share of each layer's input spectrum that stays protected.
        offset: Value subtracted from p_y in the logarithm, so that it stays finite at p_y = 1.
        entropy_weight: Weight of the bonus for uncertainty.
        epochs: Largest number of passes over the forget set.
        learning_rate: Learning rate in the first pass.
        last_learning_rate: The learning rate moves exponentially towards this value.
        batch_size: Samples per step.
    """

    version: ClassVar[int] = 1
    access: ClassVar[Access] = "statistics"
    search: ClassVar[Search] = {"learning_rate": (0.1, 0.2, 0.5), "kept": (0.7, 0.9)}

    kept: float = 0.95
    offset: float = 0.05
    entropy_weight: float = 0.2
    epochs: int = 10
    learning_rate: float = 0.05
    last_learning_rate: float = 0.01
    batch_size: int = 128

    def __post_init__(self) -> None:
        require_at_least(1, epochs=self.epochs, batch_size=self.batch_size)
        require_at_least(0, entropy_weight=self.entropy_weight)
        require_above(
            0,
            learning_rate=self.learning_rate,
            last_learning_rate=self.last_learning_rate,
            offset=self.offset,
        )
        require_share(kept=self.kept, offset=self.offset)

    def count_passes(self, sizes: SetSizes) -> Passes:
        """The inputs of the retain set without gradients, and up to `epochs` passes over the forget set.

        All of them are made for a whole class, where holdout accuracy is no reference.
        """
        inputs = WITHOUT_GRADIENTS * sizes.retain
        most = inputs + self.epochs * sizes.forget
        return Passes(most if sizes.whole_classes else inputs, most)

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after projected descent, at the pass where forget and holdout accuracy are closest.

        Outside `mask` it stays as it was.
        """
        with seeded(run):
            network = move_to_device(copy.deepcopy(model), run)
            protected = protected_subspaces(network, splits.retain, self.kept, self.batch_size, run)
            # Without a retained class among the forgotten samples, holdout accuracy is no reference.
            has_reference = not set(splits.forget.labels.tolist()) <= splits.forgotten_classes
            order = run.generator(purpose=1)
            lead = _accuracy_lead(network, splits, run)
            for epoch in range(1, self.epochs + 1):
                if has_reference and lead < 0:
                    break
                before, lead_before = copy.deepcopy(network), lead
                # rate_t = first * (last / first)^(t / T), t = 0 .. T-1
                decay = (self.last_learning_rate / self.learning_rate) ** ((epoch - 1) / self.epochs)
                rate = self.learning_rate * decay
                loss = self._pass(network, protected, splits.forget, rate, order, run, mask)
                lead = _accuracy_lead(network, splits, run)
                run.listen("unlearn", epoch, self.epochs, {"loss": loss, "forget_ahead_of_holdout": lead})
                if has_reference and lead < 0 and -lead >= lead_before:  # the network before was closer
                    network = before
            return network.eval()

    def _pass(
        self,
        network: nn.Module,
        protected: dict[str, Tensor],
        forget: Examples,
        rate: float,
        order: torch.Generator,
        run: Run,
        mask: Mask | None,
    ) -> float:
        """One pass over the forget set; its mean loss."""
        set_batch_norm_mode(network.train(), "frozen", "forget", 0)  # dropout on, statistics untouched
        weights = [network.get_parameter(f"{name}.weight") for name in protected]
        restraint = None if mask is None else Restraint.of(network, mask)
        values = StepLosses(0, self.learning_rate, run.device)
        for inputs, labels in batches(forget, self.batch_size, order, run.device):
            with mixed_precision(run):
                loss = projected_loss(network(inputs).float(), labels, self.offset, self.entropy_weight)
            gradients = gradient_of(loss, weights)
            with torch.no_grad():
                for weight, gradient, basis in zip(weights, gradients, protected.values(), strict=True):
                    weight.sub_(remove_protected(gradient, basis), alpha=rate)
            if restraint is not None:
                restraint.restore_()
            values.add(loss)
        read = values.read()
        return sum(read) / len(read)


def projected_loss(
    logits: Float[Tensor, "batch classes"],
    labels: Int[Tensor, " batch"],
    offset: float,
    entropy_weight: float,
) -> Float[Tensor, ""]:
    """The loss of equation (2): mean of -log(1 - (p_y - offset)), minus a bonus for entropy."""
    true_class = logits.softmax(dim=1).gather(1, labels.unsqueeze(1)).squeeze(1)
    return -(1 - (true_class - offset)).log().mean() - entropy_weight * entropy(logits).mean()


def remove_protected(
    gradient: Float[Tensor, "outputs ..."], protected: Float[Tensor, "groups inputs inputs"]
) -> Float[Tensor, "outputs ..."]:
    """The gradient by equation (1), without its part in the protected subspace of the layer's inputs."""
    rows = gradient.reshape(len(protected), -1, protected.shape[1])
    return (rows - rows @ protected).view_as(gradient)


@torch.no_grad()
def protected_subspaces(
    network: nn.Module, retain: Examples, kept: float, batch_size: int, run: Run
) -> dict[str, Float[Tensor, "groups inputs inputs"]]:
    """For each weighted layer by name, U_k U_k^T of its inputs on the retain set; one for each group of channels."""
    layers = {
        name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Linear | _ConvNd)
    }
    sums: dict[str, Tensor] = {}

    def add(name: str, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        # groups x row x (samples and places); float64, because small eigenvalues decide what is protected
        columns = unfold_inputs(layer, inputs[0]).permute(1, 2, 0, 3).flatten(2).double()
        sums[name] = sums.get(name, 0) + torch.einsum("gid,gjd->gij", columns, columns)

    hooks = [layer.register_forward_pre_hook(partial(add, name)) for name, layer in layers.items()]
    try:
        network.eval()
        for inputs, _ in batches(retain, batch_size, None, run.device):
            network(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: protected_subspace(total, kept).float() for name, total in sums.items()}


def protected_subspace(
    total: Float[Tensor, "groups inputs inputs"], kept: float
) -> Float[Tensor, "groups inputs inputs"]:
    """U_k U_k^T, with k the leading directions whose singular values sum to at most `kept` of all."""
    values, vectors = torch.linalg.eigh(total)  # ascending
    # Singular values of the matrix of inputs, largest first; rounding can make an eigenvalue slightly negative.
    singular = values.clamp_min(0).sqrt().flip(-1)
    share = singular.cumsum(-1) / singular.sum(-1, keepdim=True)
    chosen = (share <= kept).to(vectors.dtype).flip(-1)
    result: Tensor = (vectors * chosen.unsqueeze(-2)) @ vectors.mT
    return result


def _accuracy_lead(network: nn.Module, splits: Splits, run: Run) -> float:
    """By how many percent points accuracy on the forget set exceeds that on the holdout set."""
    return accuracy(network, splits.forget, run.device) - accuracy(network, splits.holdout, run.device)
