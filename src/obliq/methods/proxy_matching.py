"""Proxy matching: treat every forgotten sample as briefly trained networks do that never saw it.

The network to imitate is the one that is retrained without the forget set, but it costs too much. A proxy is the same
network, trained from new weights on the retain set for a few epochs only. It has not memorised any forgotten sample,
and it errs on the samples of an unusual person or of a forgotten class much as the retrained network does. Its margins
(log p / (1 - p) of the true class) are smaller, because it was trained for a shorter time. So the mean margin m over
a few proxies is mapped to the scale of the original, on samples that none of these networks has seen:

    target(x) = mean_o + deviation_o * (m(x) - mean_p) / deviation_p                                     (1)

with the means and standard deviations of margins on holdout samples, under the original (o) and of m (p).
The forget loss is the Huber distance to these targets. The retain loss is the distance to the original's predictions,
softened by a temperature, and not the cross-entropy to the labels: further training on labels would make the network
more confident on all unseen data, which an audit notices. In these predictions the forgotten classes get no
probability, since a retrained network does not know them. Both gradients are combined by
`obliq.training.orthogonal_descent`.

Source: ours, and no part of the OEU paper. Precedents: Bad Teacher (Chundawat et al., AAAI 2023) has two teachers as
well, but the one for the forget set has random weights, so it teaches noise. KGA (Wang et al., ACL 2023) trains an
additional network on new data, and aligns gaps between networks. ReGUn (arXiv 2603.11210) teaches one prediction,
averaged over unseen samples, to all forget samples. Ours are the proxy that is trained on the retain set, its
calibration on holdout samples (1), targets as margins, and the projection.

In quantized networks the proxy has the precision of the original. Learned steps are trained in both.
"""

import copy
import dataclasses
import math
from collections.abc import Collection as Container
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from obliq.data import Examples, Splits
from obliq.data.batches import batches_by_distance
from obliq.errors import DataError
from obliq.gradients import ProjectionWhen, distillation_loss, margin_loss, true_class_margin
from obliq.methods.method import Search, keeps_accuracy
from obliq.models import initialise
from obliq.run import Run
from obliq.training.descent import require_above
from obliq.training.loop import (
    Recipe,
    fit,
    move_to_device,
    predict,
    require_at_least,
    seeded,
    steps_per_epoch,
)
from obliq.training.masks import Mask
from obliq.training.orthogonal_descent import OrthogonalDescent
from obliq.training.orthogonal_rounds import start_rounds

FEWEST_STEPS = 60
"""Of a proxy's training. A small retain set is passed more often, until there are as many."""
UNKNOWN = 20.0
"""Nats by which the original's logits of forgotten classes are put below all others."""
FEWEST_HOLDOUT_SAMPLES = 10
PROXY_BATCH = 64
PROXY_SEED = 1_000  # purposes of a run's generator, from here on: one per proxy


@final
@dataclass(frozen=True, kw_only=True)
class ProxyMatching(OrthogonalDescent):
    """Bring each forgotten sample to the mean margin of proxies, networks that are briefly trained on the retain set.

    Attributes:
        proxies: Number of proxies.
        proxy_epochs: Passes of a proxy over the retain set. A few are enough. Small sets are passed more often, until
            60 steps are reached.
        proxy_learning_rate: Largest learning rate of a proxy's training.
        temperature: Temperature that softens predictions in the distance to the original.
        rounds: Largest number of rounds. A new round begins until `tolerance` is met. Momentum continues, and the
            learning rate starts again. Forgotten classes need more than one round.
        tolerance: Stop when the forget set's mean margin is at most this share of its first distance away from the
            mean target.
        restarts: How many rounds may be undone and repeated at half the learning rate. A round is undone when accuracy
            on retained samples falls more than 5 points below the original's.
        projection: When to project the forget gradient g_f against the retain gradient g_r: `always`, `on_conflict`
            (only if <g_f, g_r> < 0), or `never`.
    """

    proxies: int = 3
    proxy_epochs: int = 4
    proxy_learning_rate: float = 0.05
    temperature: float = 2.0
    rounds: int = 3
    tolerance: float = 0.05
    restarts: int = 3
    projection: ProjectionWhen = "on_conflict"
    forget_weight: float = 0.3
    epochs: int = 5
    retain_batch: int = 64

    version: ClassVar[int] = 1
    search: ClassVar[Search] = {"learning_rate": (0.02, 0.05), "forget_weight": (0.1, 0.3, 1.0)}

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(1, proxies=self.proxies, proxy_epochs=self.proxy_epochs, rounds=self.rounds)
        require_at_least(0, restarts=self.restarts, tolerance=self.tolerance)
        require_above(0, proxy_learning_rate=self.proxy_learning_rate, temperature=self.temperature)

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after descending on both losses. The retain, forget and holdout sets are read.

        Outside `mask` it stays as it was; with a mask, `movable` has no effect.

        Raises:
            DataError: for fewer than 10 holdout samples of retained classes.
        """
        mask = mask or self.mask(model, splits.forget, run)
        with seeded(run):
            network = move_to_device(copy.deepcopy(model), run)
            targets, own = self._targets(network, splits, run)
            aims = targets.to(run.device)
            kept = self.retained(splits.retain, run)
            answers = _without(splits.forgotten_classes, predict(network, kept, run.device)).to(run.device)

            def retain_loss(logits: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
                return distillation_loss(answers[positions.to(run.device)], logits.float(), self.temperature)

            def forget_loss(logits: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
                return margin_loss(logits.float(), labels, aims[positions.to(run.device)])

            rounds = start_rounds(self, network, splits, mask, run, retain_loss)
            forget = batches_by_distance(
                splits.forget,
                (targets - own).abs(),
                rounds.forget_batch,
                rounds.descent.generator,
                run.device,
                self.augment,
            )
            rounds.run_until_near(
                forget,
                forget_loss,
                lambda: _distance_left(own, margins(network, splits.forget, run), targets),
                rounds=self.rounds,
                tolerance=self.tolerance,
                is_sound=keeps_accuracy(network, splits.retain, run) if self.restarts else lambda: True,
                restarts=self.restarts,
            )
            return network.eval()

    def proxy(self, model: nn.Module, retain: Examples, run: Run) -> nn.Module:
        """The network with new weights, trained on the retain set; see `proxy_recipe`."""
        fresh = copy.deepcopy(model)
        initialise(fresh, run.seed)
        return fit(fresh, retain, self.proxy_recipe(len(retain)), run)

    def proxy_recipe(self, retain: int) -> Recipe:
        """How a proxy is trained on that many retain samples."""
        fewest = math.ceil(FEWEST_STEPS / steps_per_epoch(retain, PROXY_BATCH))
        return Recipe(
            epochs=max(self.proxy_epochs, fewest),
            learning_rate=self.proxy_learning_rate,
            batch_size=PROXY_BATCH,
            augment=self.augment,
        )

    def _targets(
        self, original: nn.Module, splits: Splits, run: Run
    ) -> tuple[Float[Tensor, " forget"], Float[Tensor, " forget"]]:
        """Equation (1) for every forget sample, and the original's own margins, in the order of the set."""
        gone = torch.tensor(sorted(splits.forgotten_classes), dtype=torch.long)
        remaining = ~torch.isin(splits.holdout.labels, gone)
        if int(remaining.sum()) < FEWEST_HOLDOUT_SAMPLES:
            raise DataError(
                f"{int(remaining.sum())} holdout samples of retained classes; expected at least "
                f"{FEWEST_HOLDOUT_SAMPLES} that the network was not trained on, which show how confident it is on "
                "unseen data"
            )
        forget, holdout = torch.zeros(len(splits.forget)), torch.zeros(len(splits.holdout))
        for number in range(self.proxies):
            proxy = self.proxy(original, splits.retain, _run_of_proxy(run, number))
            forget += margins(proxy, splits.forget, run) / self.proxies
            holdout += margins(proxy, splits.holdout, run) / self.proxies
        wanted = margins(original, splits.holdout, run)
        targets = on_the_scale_of(forget, holdout[remaining], wanted[remaining])
        return targets, margins(original, splits.forget, run)


def on_the_scale_of(
    margin: Float[Tensor, " samples"], unseen: Float[Tensor, " holdout"], wanted: Float[Tensor, " holdout"]
) -> Float[Tensor, " samples"]:
    """Map margins by the line that gives `unseen` the mean and the standard deviation of `wanted`; equation (1).

    Without any spread in `unseen`, which a network that answers everything alike has, only the mean is matched.
    """
    spread = float(unseen.std())
    return wanted.mean() + (float(wanted.std()) / spread if spread > 0 else 1.0) * (margin - unseen.mean())


def margins(model: nn.Module, examples: Examples, run: Run) -> Float[Tensor, " samples"]:
    """The margin of the true class of every sample, in nats, in evaluation mode, on the processor."""
    return true_class_margin(predict(model, examples, run.device), examples.labels)


def _run_of_proxy(run: Run, number: int) -> Run:
    """The same run with a seed of its own, which reports as `proxy`.

    A network that is retrained under the run's own seed would resemble a proxy under that seed, and an audit against
    that network would favour this method.
    """

    def listen(stage: str, step: int, of: int, values: Mapping[str, float]) -> None:
        run.listen(f"proxy {number + 1}", step, of, {})

    seed = run.generator(purpose=PROXY_SEED + number).initial_seed() % 2**32
    return dataclasses.replace(run, seed=seed, listen=listen)


def _without(
    classes: Container[int], logits: Float[Tensor, "samples classes"]
) -> Float[Tensor, "samples classes"]:
    """The logits with those of these classes far below all others, so that they get no probability."""
    known = torch.tensor([label not in classes for label in range(logits.shape[1])])
    lowest = logits.min(dim=1, keepdim=True).values - UNKNOWN
    return torch.where(known, logits, lowest)


def _distance_left(
    own: Float[Tensor, " forget"], reached: Float[Tensor, " forget"], targets: Float[Tensor, " forget"]
) -> dict[str, float]:
    """How far the mean margin is from the mean target, as a share of the distance at the start; 0 if that was 0."""
    started = float((own.mean() - targets.mean()).abs())
    left = float((reached.mean() - targets.mean()).abs())
    return {"distance_left": left / started if started > 0 else 0.0}
