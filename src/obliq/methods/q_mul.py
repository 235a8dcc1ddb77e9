"""Q-MUL: train forgotten samples to similar labels, with the gradients of both sets balanced.

Paper: "Robust machine unlearning for quantized neural networks via adaptive gradient reweighting with
similar labels" (Q-MUL), ICCV 2025, after its abstract and two independent descriptions; the text of its
equations was not available to us. Reference code: Green-Edge-AI-Group/MU-Q-MUL, `unlearn/RL_min.py`.

Let p be the softmax of the present network. Each epoch, a forgotten sample (x, y) is given the label

    argmin_{c != y} |p_c - p_y|                                              (1)

Let G_f and G_r be the mean lengths of the batch gradients on the relabelled forget set and on the retain set. Then

    w_f = G_r / (G_f + G_r),  w_r = G_f / (G_f + G_r),  loss = mean over the batch of w * cross-entropy      (2)

`labels="random"` (from all classes, as in the code) and `reweighting=False` (w = 1, so twice the mean weight) leave
one part out. The public code departs from this description, and `faithful="code"` follows the code. There the
distance is |logit_c - p_y|. The position among the classes other than y is used as the class itself, so classes
above y come out one too low, and y itself can come out. The labels are computed in shuffled order but written to the
set in its own order, so that a sample gets the label of another. The length of a gradient is the sum of its tensors'
lengths. Labels and lengths are computed in training mode, so that batch-norm statistics move. The code uses the
`order` "sequential" (forget, then retain) for CIFAR-10 and SVHN, else "mixed".

In the code, the rate falls once an epoch, learned steps, batch norm and biases decay, and learned steps have no limit.
`faithful="code"` follows all of this.

Deviations: in the other two forms, the rate falls with every step, and weights alone decay. A learned step changes by
at most a tenth in one update (`obliq.quantization.keep_steps_near_`). The form `code-labels` combines this descent
with the labels and gradient lengths of the code.

In quantized networks all parameters are trained, learned steps included, and all count in the gradients' lengths.
Batch-norm statistics follow all training batches (`batch_norm`), in training mode as there.
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

from obliq.data import Examples, Splits
from obliq.data.batches import numbered_cycle
from obliq.gradients import gradient_of
from obliq.methods.method import Search
from obliq.run import Run
from obliq.training.descent import BatchRole, descend, require_descent, set_batch_norm_mode
from obliq.training.loop import move_to_device, require_at_least, seeded, steps_per_epoch
from obliq.training.masks import Mask
from obliq.training.passes import WITHOUT_GRADIENTS, Passes, SetSizes
from obliq.training.relabelling import BatchNormMode, PassOrder, random_labels, relabelled_steps, require_form


@final
@dataclass(frozen=True, kw_only=True)
class QMUL:
    """Train on similar labels for the forget set, and balance the gradients of both sets.

    Attributes:
        labels: Labels for the forget set: `similar` ones, or `random` ones from all classes.
        reweighting: Weight samples so that the gradients of both sets balance. `--no-reweighting` gives every sample
            the weight 1.
        faithful: Follow the `paper` as it is described, or its public `code`. `code-labels` follows the code in labels
            and gradient lengths alone, without its schedule, its weight decay and its unlimited learned steps.
        order: `mixed`: batches hold samples of both sets. `sequential`: each epoch is a pass over the forget set, then
            one over the retain set.
        epochs: Passes over forget and retain set.
        learning_rate: Learning rate at the start. It falls along half a cosine to zero; with `--faithful code` once an
            epoch, so that it ends above zero.
        batch_size: Samples per step.
        momentum: Momentum of the descent.
        weight_decay: Weight decay, applied to weights only; with `--faithful code` to every parameter.
        batch_norm: Batch-norm statistics follow `all` batches, follow the `retain` batches (sequential order only), or
            stay `frozen`.
        augment: Use random crops and flips, for natural images.
    """

    version: ClassVar[int] = 2
    search: ClassVar[Search] = {"learning_rate": (0.03, 0.1, 0.3), "order": ("sequential", "mixed")}

    labels: Literal["similar", "random"] = "similar"
    reweighting: bool = True
    faithful: Literal["paper", "code", "code-labels"] = "paper"
    order: PassOrder = "mixed"
    epochs: int = 3
    learning_rate: float = 0.01
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_norm: BatchNormMode = "all"
    augment: bool = False

    def __post_init__(self) -> None:
        require_at_least(1, epochs=self.epochs, batch_size=self.batch_size)
        require_descent(
            learning_rate=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )
        require_form(self.order, self.batch_norm)

    def count_passes(self, sizes: SetSizes) -> Passes:
        """Passes over both sets, before each of which labels and gradient lengths are computed."""
        both = sizes.forget + sizes.retain
        labels = WITHOUT_GRADIENTS * sizes.forget if self.labels == "similar" else 0
        return Passes.exactly(self.epochs * (labels + (1 + self.reweighting) * both))

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after training on new labels for the forget set and true ones for the retain set."""
        with seeded(run):
            network = move_to_device(copy.deepcopy(model), run).train()
            order, draws = run.generator(purpose=1), run.generator(purpose=5)
            forget, retain = splits.forget, splits.retain
            indices = torch.cat([forget.indices, retain.indices])
            both = Examples(forget.collection, indices)
            weights = torch.ones(len(both))

            def one_pass(examples: Examples) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
                stream = numbered_cycle(examples, self.batch_size, order, run.device, self.augment)
                return islice(stream, steps_per_epoch(len(examples), self.batch_size))

            def losses(epoch: int) -> Iterator[Tensor]:
                if self.labels == "random":
                    new = random_labels(len(forget), forget.collection.classes, draws)
                else:
                    new = self._similar(network, one_pass(forget))
                labels = torch.cat([new, retain.labels])
                if self.reweighting:  # measured once per epoch, with the labels of that epoch
                    of_forget = self._gradient_length(network, one_pass(forget), new, "forget")
                    of_retain = self._gradient_length(network, one_pass(retain), retain.labels, "retain")
                    weights[: len(forget)], weights[len(forget) :] = gradient_weights(of_forget, of_retain)
                    run.listen(
                        "unlearn",
                        epoch - 1,
                        self.epochs,
                        {"forget_gradient": of_forget, "retain_gradient": of_retain},
                    )
                network.train()
                parts: list[tuple[Examples, int, BatchRole]] = [(both, 0, "forget")]
                if self.order == "sequential":
                    parts = [(forget, 0, "forget"), (retain, len(forget), "retain")]
                for examples, first, role in parts:
                    for inputs, _, positions in one_pass(examples):
                        set_batch_norm_mode(network, self.batch_norm, role, len(positions))
                        targets = labels[first + positions].to(run.device)
                        each = F.cross_entropy(network(inputs), targets, reduction="none")
                        yield (each * weights[first + positions].to(run.device)).mean()

            descend(
                network,
                losses,
                epochs=self.epochs,
                total=self.epochs * relabelled_steps(splits, form=self.order, batch_size=self.batch_size),
                learning_rate=self.learning_rate,
                momentum=self.momentum,
                weight_decay=self.weight_decay,
                run=run,
                mask=mask,
                published=self.faithful == "code",
            )
            return network.eval()

    @property
    def _as_coded(self) -> bool:
        return self.faithful != "paper"

    @torch.no_grad()
    def _similar(
        self, network: nn.Module, shuffled: Iterator[tuple[Tensor, Tensor, Tensor]]
    ) -> Int[Tensor, " forget"]:
        """The similar label of each forgotten sample, as the paper or as the code assigns them."""
        found, order = [], []
        for inputs, labels, positions in shuffled:
            self._set_mode(network, "forget", len(labels))
            rule = similar_labels_as_coded if self._as_coded else similar_labels
            found.append(rule(network(inputs).float(), labels).cpu())
            order.append(positions)
        return labels_by_position(torch.cat(found), torch.cat(order), in_loader_order=self._as_coded)

    def _gradient_length(
        self,
        network: nn.Module,
        one_pass: Iterator[tuple[Tensor, Tensor, Tensor]],
        labels: Int[Tensor, " samples"],
        role: BatchRole,
    ) -> float:
        """G_f or G_r: the mean over batches of the length of the batch's gradient."""
        parameters = list(network.parameters())
        lengths = []
        for inputs, _, positions in one_pass:
            self._set_mode(network, role, len(positions))
            loss = F.cross_entropy(network(inputs), labels[positions].to(inputs.device))
            # one length per tensor; the paper's length of all together is the root of their squared sum
            norms = torch.stack(torch._foreach_norm(gradient_of(loss, parameters)))
            lengths.append(norms.sum() if self._as_coded else norms.norm())
        return torch.stack(lengths).mean().item()

    def _set_mode(self, network: nn.Module, role: BatchRole, samples: int) -> None:
        network.train(self._as_coded)
        set_batch_norm_mode(network, "all" if self._as_coded else "frozen", role, samples)


def similar_labels(
    logits: Float[Tensor, "batch classes"], labels: Int[Tensor, " batch"]
) -> Int[Tensor, " batch"]:
    """The wrong class whose probability is closest to that of the true class, by equation (1)."""
    probabilities = logits.softmax(dim=1)
    distance = (probabilities - probabilities.gather(1, labels.unsqueeze(1))).abs()
    return distance.scatter(1, labels.unsqueeze(1), torch.inf).argmin(dim=1)


def similar_labels_as_coded(
    logits: Float[Tensor, "batch classes"], labels: Int[Tensor, " batch"]
) -> Int[Tensor, " batch"]:
    """What the public code computes: the distance |logit_c - p_y|, and a position without y as the class."""
    batch, classes = logits.shape
    distance = (logits - logits.softmax(dim=1).gather(1, labels.unsqueeze(1))).abs()
    wrong = torch.ones_like(logits, dtype=torch.bool).scatter(1, labels.unsqueeze(1), False)
    # The position within the C - 1 wrong classes is returned as if it were a class, as the code does.
    return distance[wrong].view(batch, classes - 1).argmin(dim=1)


def labels_by_position(
    found: Int[Tensor, " samples"], positions: Int[Tensor, " samples"], *, in_loader_order: bool
) -> Int[Tensor, " samples"]:
    """Labels computed in shuffled order, put where their samples are; or, as in the code, left in that order."""
    if in_loader_order:
        return found
    labels = torch.empty_like(found)
    labels[positions] = found
    return labels


def gradient_weights(of_forget: float, of_retain: float) -> tuple[float, float]:
    """The weights (w_f, w_r) of equation (2): each set is weighted by the other's share of the gradient lengths."""
    total = of_forget + of_retain
    return (of_retain / total, of_forget / total) if total > 0 else (0.5, 0.5)
