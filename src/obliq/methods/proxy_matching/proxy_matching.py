"""Proxy matching: treat every forgotten sample as briefly trained networks do that never saw it.

The network to imitate is the one that is retrained without the forget set, but it costs too much. A proxy is the same
network, trained from new weights on the retain set for a few epochs only. It has not memorised any forgotten sample,
and it errs on the samples of an unusual person or of a forgotten class much as the retrained network does. Its margins
(log p / (1 - p) of the true class) are smaller, because it was trained for a shorter time. So the mean margin m over
a few proxies is mapped to the scale of the network, on samples that none of these networks has seen:

    target(x) = mean_n + deviation_n * (m(x) - mean_p) / deviation_p                                     (1)

with the means and standard deviations of margins on holdout samples, under the network (n) and of m (p). The network is
the original at first. Unlearning moves its answers to unseen samples, too, so (1) is repeated after each round. The
forget loss is the Huber distance to these targets.

The retain loss is the distance to fixed answers, softened by a temperature, and `label_weight` times the cross-entropy
to the labels. The answers are a mixture of the original's logits z_o and the proxies' mean logits z_p:

    z(x) = c * ((1 - b) * z_o(x) + b * s * z_p(x))                                                       (2)

A network that keeps the original's answers on unseen samples, and only moves on forgotten ones, differs by this from a
retrained one, which changes slightly everywhere. The factor s brings the proxies to the original's level of
confidence (the median absolute margin on holdout samples), and c the mixture, nearly. Training on labels raises that
level and forgetting lowers it, and an audit notices both. So after each round, c is multiplied by the square root of
what the network's own level lacks. The share b is halved until the mixture is as often right on unseen samples as the
original, within a point. Where only the mixture errs on a retained sample, the original's answer is kept. Forgotten
classes get no probability, since a retrained network does not know them.

Requests of whole classes differ. Holdout samples of these classes are moved to targets of their own, next to the forget
set: otherwise the class is moved too far, and its training samples are recognised by what is left of them. The
original's answers leave the classes out before any level is taken, since a network that does not know a confusing class
is surer of the others. What features reveal is brought to what the proxies' features reveal, see
`obliq.methods.proxy_matching.class_features`. All of this needs longer steps, and every round.

Both gradients are combined by `obliq.training.orthogonal_descent`.

Source: ours, and no part of the OEU paper. Precedents: Bad Teacher (Chundawat et al., AAAI 2023) has two teachers as
well, but the one for the forget set has random weights, so it teaches noise. KGA (Wang et al., ACL 2023) trains an
additional network on new data, and aligns gaps between networks. ReGUn (arXiv 2603.11210) teaches one prediction,
averaged over unseen samples, to all forget samples. Ours are the proxy that is trained on the retain set, its
calibration on holdout samples (1), targets as margins, the mixture (2), and the projection.

In quantized networks the proxy has the precision of the original. Learned steps are trained in both. A learned step
changes by at most a tenth in one update (`obliq.quantization.keep_steps_near_`).
"""

import copy
import dataclasses
import math
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import ClassVar, final

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from obliq.data import Examples, Splits
from obliq.data.batches import batches_by_distance
from obliq.gradients import ProjectionWhen, distillation_loss, margin_loss, true_class_margin
from obliq.methods.method import Search, keeps_accuracy
from obliq.methods.proxy_matching.aims import aims_of, unseen_samples
from obliq.methods.proxy_matching.class_features import SAMPLES, ClassFeatures, can_probe, steps_between_fits
from obliq.models import initialise
from obliq.run import Run
from obliq.training.descent import require_above, require_share
from obliq.training.loop import Recipe, fit, move_to_device, require_at_least, seeded, steps_per_epoch
from obliq.training.masks import Mask
from obliq.training.orthogonal_descent import OrthogonalDescent
from obliq.training.orthogonal_rounds import start_rounds
from obliq.training.passes import WITHOUT_GRADIENTS, Passes, SetSizes
from obliq.training.prediction import predict

FEWEST_STEPS = 60
"""Of a proxy's training. A small retain set is passed more often, until there are as many."""
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
        proxy_share: Share b of the proxies in the answers that the retain set keeps, equation (2).
        temperature: Temperature that softens predictions in the distance to these answers.
        label_weight: Weight of the cross-entropy to the labels of the retain set, next to this distance.
        rounds: Largest number of rounds. A new round begins until `tolerance` is met. Momentum continues, and the
            learning rate starts again. Requests of whole classes take all of them.
        tolerance: Stop when the distance of the forget set's mean margin to the mean target is at most this share of
            its value at the start.
        restarts: How many rounds may be undone and repeated at half the learning rate. A round is undone when accuracy
            on retained samples falls more than 5 points below the original's.
        class_learning_rate: Learning rate for requests of whole classes, instead of `learning_rate`.
        class_forget_weight: Weight of the forget term for these, instead of `forget_weight`.
        class_label_weight: Weight of the cross-entropy for these, instead of `label_weight`.
        probe_weight: Weight of the distance in features for these, next to that of margins. 0 leaves features alone.
        projection: When to project the forget gradient g_f against the retain gradient g_r: `always`, `on_conflict`
            (only if <g_f, g_r> < 0), or `never`.
    """

    proxies: int = 2
    proxy_epochs: int = 8
    proxy_learning_rate: float = 0.05
    proxy_share: float = 0.6
    temperature: float = 2.0
    label_weight: float = 0.5
    rounds: int = 4
    tolerance: float = 0.05
    restarts: int = 3
    projection: ProjectionWhen = "on_conflict"
    forget_weight: float = 0.3
    epochs: int = 5
    retain_batch: int = 64
    class_learning_rate: float = 0.05
    class_forget_weight: float = 1.0
    class_label_weight: float = 2.0
    probe_weight: float = 10.0

    version: ClassVar[int] = 3
    search: ClassVar[Search] = {"learning_rate": (0.02, 0.05), "forget_weight": (0.1, 0.3, 1.0)}

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(1, proxies=self.proxies, proxy_epochs=self.proxy_epochs, rounds=self.rounds)
        require_at_least(0, restarts=self.restarts, tolerance=self.tolerance, label_weight=self.label_weight)
        require_at_least(
            0,
            class_forget_weight=self.class_forget_weight,
            class_label_weight=self.class_label_weight,
            probe_weight=self.probe_weight,
        )
        require_above(0, proxy_learning_rate=self.proxy_learning_rate, temperature=self.temperature)
        require_above(0, class_learning_rate=self.class_learning_rate)
        require_share(proxy_share=self.proxy_share)

    def count_passes(self, sizes: SetSizes) -> Passes:
        """The proxies, and from one round to all of them, without those that are undone; all for a whole class."""
        proxies = self.proxies * self.proxy_recipe(sizes.retain).epochs * sizes.retain
        least, most = self.passes_of_rounds(sizes.forget, sizes.retain, self.rounds, even=False)
        if not sizes.whole_classes:
            return Passes(proxies + least, proxies + most)
        probes = self.rounds * self.probed(sizes.forget, sizes.retain)
        return Passes.exactly(proxies + most + WITHOUT_GRADIENTS * probes)

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after descending on both losses. The retain, forget and holdout sets are read.

        Outside `mask` it stays as it was; with a mask, `movable` has no effect.

        Raises:
            DataError: for fewer than 10 holdout samples of retained classes.
        """
        unseen_samples(splits)  # refuses what is missing before proxies are trained
        mask = mask or self.mask(model, splits.forget, run)
        settings = self._for_classes() if splits.forgotten_classes else self
        with seeded(run), ExitStack() as watching:
            network = move_to_device(copy.deepcopy(model), run)
            kept = self.retained(splits.retain, run)
            proxies = [
                self.proxy(network, splits.retain, _run_of_proxy(run, number))
                for number in range(self.proxies)
            ]
            aims = aims_of(network, proxies, splits, kept, self.proxy_share, run)
            features = None
            if splits.forgotten_classes and self.probe_weight and can_probe(network, kept, run):
                steps = self.steps_of_round(len(kept))
                features = ClassFeatures(
                    network, proxies, aims.moved, kept, splits.forgotten_classes, steps, run
                )
                watching.enter_context(features.watched())
            own = margins(network, aims.moved, run)
            started = float((own.mean() - aims.targets.mean()).abs())

            def retain_loss(logits: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
                answers = aims.factor * aims.answers[positions]
                distance = distillation_loss(answers.to(run.device), logits.float(), self.temperature)
                return distance + settings.label_weight * F.cross_entropy(logits.float(), labels)

            def forget_loss(logits: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
                margin = margin_loss(logits.float(), labels, aims.targets[positions].to(run.device))
                if features is None:
                    return margin
                return margin + self.probe_weight * features.loss(labels, positions)

            def distance_left() -> dict[str, float]:
                aims.follow_(margins(network, aims.unseen, run))
                left = float((margins(network, aims.moved, run).mean() - aims.targets.mean()).abs())
                return {"distance_left": left / started if started > 0 else 0.0}

            rounds = start_rounds(settings, network, splits.forget, splits.retain, mask, run, retain_loss)
            forget = batches_by_distance(
                aims.moved,
                (aims.targets - own).abs(),
                rounds.forget_batch,
                rounds.descent.generator,
                run.device,
                self.augment,
            )
            rounds.run_until_near(
                forget,
                forget_loss,
                distance_left,
                rounds=self.rounds,
                tolerance=settings.tolerance,
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

    def probed(self, forget: int, retain: int) -> int:
        """Samples that pass through the network for its probes in a round, when whole classes are forgotten."""
        if not self.probe_weight:
            return 0
        steps = self.steps_of_round(retain)
        return math.ceil(steps / steps_between_fits(steps)) * min(forget + retain, SAMPLES)

    def _for_classes(self) -> "ProxyMatching":
        """The settings for requests of whole classes, which end after the last round only."""
        return dataclasses.replace(
            self,
            learning_rate=self.class_learning_rate,
            forget_weight=self.class_forget_weight,
            label_weight=self.class_label_weight,
            tolerance=0.0,
        )


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
