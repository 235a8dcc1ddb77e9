"""AMUN: fine-tune on the closest adversarial example of each forgotten sample, with its wrong label.

Paper: Ebrahimpour-Boroojeny et al., "AMUN: adversarial machine unlearning" (2025, arXiv 2503.00917; also "Not
all wrong is bad: using adversarial examples for unlearning"). Reference code: Ali-E/AMUN,
`AMUN_all_in_one.py` (read at 6dc29ab) and `pgdl2_modified.py` (at 7282329). We read the code and the abstract,
not the equations of the paper.

The attack runs on the frozen original in evaluation mode and starts at the sample itself. Its steps have the length
bound / 10 and follow the gradient of the loss, normalised sample by sample. They stay within the Euclidean distance
`bound` of the sample, in raw values, until the prediction is wrong. After `attack_steps` steps the bound is doubled,
and the attack continues from where it is. A sample that is predicted wrongly from the start stays as it is. Let D_A
be these inputs, labelled with the network's predictions there. The network is trained on

    D_r + D_f + D_A    or    D_r + D_A    (`true_labels=False`, "advonly" in the code)

as one shuffled set. Forgotten samples are taught their true labels as well: this is part of the method. D_A moves
the decision boundary near them, which lowers confidence there and changes little else.

Deviations: 10 attack steps per bound, from 0.1 on, to limit the cost (there 50, from 0.01 for 50 samples and then
from their median). The doubling ends, and a sample that no bound brings across is left out of D_A (there the attack
would not end). Raw values are clamped to 0..1 where they are bytes; where they are floats, their range is unknown.
Cosine schedule (there a tenth of the rate after each epoch, 5 or 10). Weight decay leaves learned steps, batch norm
and biases alone. The form without any retained data is left out.

In quantized networks the attack's gradient passes the quantizers straight through, that of the input included. It is
zero where the input quantizer saturates, and a sample without any gradient does not move. All parameters are
trained, learned steps included. A learned step changes by at most a tenth in one update
(`obliq.quantization.keep_steps_near_`). Batch norm follows the batches, adversarial inputs among them, unless it is
`frozen`.
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
from obliq.data.batches import batches, numbered_cycle
from obliq.data.raw_values import RawValues, eight_bit
from obliq.errors import ModelError
from obliq.methods.method import Search
from obliq.run import Run
from obliq.training.descent import descend, require_above, require_descent, set_batch_norm_mode
from obliq.training.loop import move_to_device, require_at_least, seeded, steps_per_epoch
from obliq.training.masks import Mask
from obliq.training.passes import Passes, SetSizes

UNCROSSED = -1
"""The prediction of a sample that no attack brought across the decision boundary."""


@final
@dataclass(frozen=True, kw_only=True)
class AMUN:
    """Train on adversarial examples of the forget set. Defaults are starting points, not tuned.

    Attributes:
        true_labels: Also train on the forget set with its true labels, as the paper does. `--no-true-labels` leaves
            this out.
        bound: First distance of the attack, in raw input values (0 to 1 for 8-bit inputs).
        attack_steps: Steps of the attack before its bound is doubled.
        doublings: Double the bound at most this many times.
        epochs: Passes over retain set, forget set and adversarial examples.
        learning_rate: Learning rate at the start. It falls to zero along half a cosine.
        batch_size: Samples per step, and samples that are attacked together.
        momentum: Momentum of the descent.
        weight_decay: Weight decay, applied to weights only.
        batch_norm: Batch-norm statistics stay `frozen`, or follow `all` batches.
        augment: Use random crops and flips, for natural images. Adversarial examples are not augmented.
    """

    version: ClassVar[int] = 1
    search: ClassVar[Search] = {
        "learning_rate": (0.05, 0.2, 0.5),
        "true_labels": (True, False),
    }

    true_labels: bool = True
    bound: float = 0.1
    attack_steps: int = 10
    doublings: int = 10
    epochs: int = 5
    learning_rate: float = 0.01
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_norm: Literal["frozen", "all"] = "all"
    augment: bool = False

    def __post_init__(self) -> None:
        require_at_least(1, epochs=self.epochs, batch_size=self.batch_size, attack_steps=self.attack_steps)
        require_at_least(0, doublings=self.doublings)
        require_descent(
            learning_rate=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )
        require_above(0, bound=self.bound)

    def count_passes(self, sizes: SetSizes) -> Passes:
        """The attack, which takes from one to all of its steps, and training on the sets and the examples found."""
        attack = (self.doublings + 1) * self.attack_steps + 1
        trained = self.epochs * (sizes.retain + (1 + self.true_labels) * sizes.forget)
        return Passes(trained + sizes.forget, trained + attack * sizes.forget)

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after fine-tuning; outside `mask` it stays as it was.

        Raises:
            ModelError: when no forgotten sample has an adversarial example within reach.
        """
        with seeded(run):
            network = move_to_device(copy.deepcopy(model), run)
            attacked, predictions = self._attacked(network.eval(), splits.forget, run)
            crossed = predictions != UNCROSSED
            parts = [splits.retain, *([splits.forget] if self.true_labels else [])]
            recorded = sum(map(len, parts))
            # Positions from `recorded` on stand for D_A: a batch loads the forgotten sample of that position, and its
            # input and label are then replaced.
            parts.append(splits.forget.where(crossed))
            everything = Examples(splits.retain.collection, torch.cat([part.indices for part in parts]))
            labels = everything.labels.clone()
            labels[recorded:] = predictions[crossed]
            attacked = attacked[crossed]
            stream = numbered_cycle(
                everything, self.batch_size, run.generator(purpose=1), run.device, self.augment
            )
            length = steps_per_epoch(len(everything), self.batch_size)

            def losses(epoch: int) -> Iterator[Tensor]:
                for inputs, _, positions in islice(stream, length):
                    moved = positions >= recorded
                    inputs[moved.to(run.device)] = attacked[positions[moved] - recorded].to(run.device)
                    set_batch_norm_mode(network, self.batch_norm, "forget", len(positions))
                    yield F.cross_entropy(network(inputs), labels[positions].to(run.device))

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

    def _attacked(self, network: nn.Module, forget: Examples, run: Run) -> tuple[Tensor, Tensor]:
        """Every forgotten input after the attack, standardised, and the predictions there; both on the processor."""
        moved, predicted, lengths = [], [], []
        for inputs, labels in batches(forget, self.batch_size, None, run.device):
            values = RawValues.of(forget.collection, inputs, eight_bit(forget))
            raw = values.raw(inputs)
            attacked, predictions = closest_adversarial(
                network,
                raw,
                labels,
                values,
                bound=self.bound,
                steps=self.attack_steps,
                doublings=self.doublings,
            )
            moved.append(values.standardised(attacked).cpu())
            predicted.append(predictions.cpu())
            lengths.append((attacked - raw).flatten(1).norm(dim=1).cpu())
        predictions = torch.cat(predicted)
        crossed = predictions != UNCROSSED
        if not bool(crossed.any()):
            raise ModelError(
                f"no adversarial example within {self.bound * 2**self.doublings:g} of any of the {len(forget)} "
                "forgotten samples; expected a network whose predictions can be changed (raise bound or doublings)"
            )
        distance = torch.cat(lengths)[crossed].median().item()
        run.listen(
            "unlearn",
            0,
            self.epochs,
            {"adversarial_share": crossed.float().mean().item(), "median_distance": distance},
        )
        return torch.cat(moved), predictions


def closest_adversarial(
    network: nn.Module,
    raw: Float[Tensor, "batch ..."],
    labels: Int[Tensor, " batch"],
    values: RawValues,
    *,
    bound: float,
    steps: int,
    doublings: int,
) -> tuple[Float[Tensor, "batch ..."], Int[Tensor, " batch"]]:
    """Raw inputs moved until they are predicted wrongly, and the wrong predictions; -1 where they never are.

    Args:
        network: in evaluation mode; reads standardised inputs.
        raw: where the attack starts.
        labels: the right classes.
        values: the map from raw to standardised inputs.
        bound: the first limit of the Euclidean distance from the start; a step is a tenth of the limit.
        steps: before the limit is doubled.
        doublings: how often the limit is doubled at most.
    """
    result = raw.clone()
    predictions = torch.full_like(labels, UNCROSSED)
    remaining = torch.arange(len(raw), device=raw.device)  # samples that are still predicted correctly
    for turn in range((doublings + 1) * steps + 1):
        at = result[remaining].requires_grad_(True)
        logits = network(values.standardised(at)).float()
        predicted = logits.argmax(dim=1)
        crossed = predicted != labels[remaining]
        predictions[remaining[crossed]] = predicted[crossed]
        limit = bound * 2 ** (turn // steps)
        # The sum keeps samples apart: each row of the gradient is that of the sample's own loss.
        loss = F.cross_entropy(logits, labels[remaining], reduction="sum")
        (slope,) = torch.autograd.grad(loss, at)
        moved = at.detach() + limit / 10 * unit_vectors(slope)
        remaining = remaining[~crossed]
        # One turn more than there are steps: the last one only reads the predictions after the last step.
        if len(remaining) == 0 or turn == (doublings + 1) * steps:
            break
        # back into the ball around the start, then to values that an input can have
        result[remaining] = values.possible(clip_distance(moved[~crossed], raw[remaining], limit))
    return result, predictions


def unit_vectors(vectors: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
    """Each sample divided by its Euclidean length; zeros stay zeros."""
    tiny = torch.finfo(vectors.dtype).tiny  # below every positive length, so that only 0 / 0 is avoided
    return vectors / _lengths(vectors).clamp(min=tiny)


def clip_distance(
    points: Float[Tensor, "batch ..."], centres: Float[Tensor, "batch ..."], limit: float
) -> Float[Tensor, "batch ..."]:
    """Each point, moved back to the distance `limit` from its centre where it is farther away."""
    away = points - centres
    return centres + away * (limit / _lengths(away).clamp(min=limit))  # factor 1 for points within the limit


def _lengths(vectors: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
    """Euclidean lengths of the samples, shaped to broadcast along them."""
    lengths: Tensor = vectors.flatten(1).norm(dim=1)
    return lengths.reshape([-1] + [1] * (vectors.dim() - 1))
