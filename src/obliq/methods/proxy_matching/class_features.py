"""What a network's features reveal of a forgotten class, brought to what the features of proxies reveal.

A network that answers nothing of a forgotten class may still carry it in its features, so that a new last layer finds
it again. A linear probe shows how much: the ridge regression of `obliq.training.linear_probe`, fitted to training
samples with their true labels. With s_c(x) its score for class c, the margin of a sample of class y is

    r(x) = s_y(x) - max over c != y of s_c(x)                                                            (3)

The targets are the mean margins (3) in the features of the proxies, each with a probe of its own. The loss is the mean
squared distance to them. The network's probe is fitted again after every few steps, since features that hide from one
probe may show to the next. So this is an adversarial game with a closed form on one side.

The audit of this package measures (3) on unseen samples, so a low value there is no independent evidence. In trials on
three classes of Fashion-MNIST, other probes came to the level of retrained networks, too: logistic regression, ten
nearest neighbours, and a support vector machine.

Precedents: adversarial removal of what linear probes find (Ravfogel et al., ACL 2020 and ICML 2022) removes it whole.
A retrained network shows a part of it, since other classes share features with the forgotten one: hence the targets.
"""

import math
from collections.abc import Collection as Container
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from obliq.data import Examples
from obliq.methods.method import some_of
from obliq.run import Run
from obliq.training.linear_probe import LinearProbe, last_layer, penultimate_features

SAMPLES = 1_500
"""Of the training samples, to which probes are fitted at most. With 4,000, trials ended alike and took longer."""
WIDEST = 4_096
"""Features of a sample. A probe's regression takes the third power of them."""
SLOWEST = 7
"""Steps after which the network's probe is fitted again, at the latest."""
FITS = 40
"""In a round of few steps. A probe of two steps ago leads the features astray there."""
NO_CLASS = -1e4
"""A score below all others."""


class ClassFeatures:
    """The loss on features for forgotten classes; see the module.

    Attributes:
        targets: margins (3) under the proxies, one for each sample that is moved.
    """

    def __init__(
        self,
        network: nn.Module,
        proxies: Sequence[nn.Module],
        moved: Examples,
        kept: Examples,
        gone: Container[int],
        steps: int,
        run: Run,
    ) -> None:
        """Measure the targets.

        Args:
            network: to be changed, on the run's device.
            proxies: of the same form, trained without the forgotten classes.
            moved: samples to move, among others those of forgotten classes.
            kept: retained samples.
            gone: the forgotten classes.
            steps: of a round.
            run: the device.
        """
        layer = last_layer(network)
        assert layer is not None  # the caller checks `can_probe`
        self._network, self._layer, self._run = network, layer, run
        self._classes = moved.collection.classes
        self._is_gone = torch.tensor([label in gone for label in range(self._classes)])
        share = min(1.0, SAMPLES / (len(moved) + len(kept)))
        self._fitted_to = [some_of(part, max(1, int(share * len(part)))) for part in (moved, kept)]
        self._latest: Tensor | None = None
        self._every, self._step = steps_between_fits(steps), 0
        self.targets = torch.stack([self._margins_of(proxy, moved) for proxy in proxies]).mean(0)

    def _margins_of(self, proxy: nn.Module, moved: Examples) -> Float[Tensor, " samples"]:
        layer = last_layer(proxy)
        assert layer is not None  # a proxy has the network's form
        features = penultimate_features(proxy, layer, moved, self._run.device)
        return probe_margins(self._fit(proxy, layer).scores(features), moved.labels).float()

    def _fit(self, network: nn.Module, layer: nn.Module) -> LinearProbe:
        features = [penultimate_features(network, layer, part, self._run.device) for part in self._fitted_to]
        labels = torch.cat([part.labels for part in self._fitted_to])
        return LinearProbe.fit(torch.cat(features), labels, self._classes)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note what the last layer receives, for `loss`."""

        def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            self._latest = inputs[0]

        hook = self._layer.register_forward_pre_hook(note)
        try:
            yield
        finally:
            hook.remove()

    def loss(self, labels: Int[Tensor, " batch"], positions: Int[Tensor, " batch"]) -> Float[Tensor, ""]:
        """The mean squared distance to the targets over samples of forgotten classes, 0 without any.

        It is that of the batch that went through the network last.

        Args:
            labels: the true classes.
            positions: of the samples, among those that are moved.
        """
        latest, self._latest = self._latest, None
        assert latest is not None  # within `watched`, after a forward pass
        features = latest.flatten(1).float()
        if self._step % self._every == 0:
            found = self._fit(self._network, self._layer)
            device = self._run.device
            self._probe = LinearProbe(
                *(part.float().to(device) for part in (found.weights, found.mean, found.deviation))
            )
            self._latest = None  # fitting runs the network, too
        self._step += 1
        margin = probe_margins(self._probe.scores(features), labels)
        distance = (margin - self.targets[positions].to(margin.device)).square()
        return distance[self._is_gone.to(labels.device)[labels]].sum() / len(labels)


def steps_between_fits(steps: int) -> int:
    """How many steps one probe of the network serves, in a round of so many."""
    return min(SLOWEST, math.ceil(steps / FITS))


def can_probe(network: nn.Module, examples: Examples, run: Run) -> bool:
    """Whether the network has a last layer that takes a moderate number of features, once for each sample."""
    layer = last_layer(network)
    if layer is None:
        return False
    return penultimate_features(network, layer, examples.take(2), run.device).shape[1] <= WIDEST


def probe_margins(
    scores: Float[Tensor, "samples classes"], labels: Int[Tensor, " samples"]
) -> Float[Tensor, " samples"]:
    """The score of the true class minus the highest other one, equation (3)."""
    true = scores.gather(1, labels[:, None])[:, 0]
    others = scores.scatter(1, labels[:, None], NO_CLASS)
    return true - others.max(dim=1).values
