"""A network's answers to a set of samples: the one pass from which every number is computed."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int
from numpy import ndarray
from torch import Tensor, nn

from obliq.data import Examples
from obliq.errors import AuditError
from obliq.training.prediction import Predictor, TorchPredictor, collect_logits


@dataclass(frozen=True, eq=False)
class Signals:
    """The answers of one network to one set of samples, in the order of the set.

    Everything derived from the logits is float64, because confident networks differ only in the last digits of
    float32.

    Attributes:
        logits: as the network returned them.
        labels: the true classes.
        subjects: whose each sample is, -1 where unknown; None where that is not recorded.
    """

    logits: Float32[Tensor, "samples classes"] = field(repr=False)
    labels: Int[Tensor, " samples"] = field(repr=False)
    subjects: Int[Tensor, " samples"] | None = field(repr=False, default=None)

    def __post_init__(self) -> None:
        if self.logits.dim() != 2 or self.logits.shape[1] < 2 or len(self.logits) != len(self.labels):
            raise AuditError(
                f"logits of shape {tuple(self.logits.shape)} for {len(self.labels)} labels; "
                "expected one row of two or more class scores per label"
            )
        if len(self.labels) == 0:
            raise AuditError("no samples to audit; expected at least one in every role")
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= self.logits.shape[1]:
            raise AuditError(f"labels run from {low} to {high}; expected 0 to {self.logits.shape[1] - 1}")
        unusable = int((~torch.isfinite(self.logits)).any(dim=1).sum())
        if unusable:
            raise AuditError(
                f"the network answers {unusable} of {len(self)} samples with NaN or infinity; expected finite numbers"
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> int:
        """The number of classes."""
        return int(self.logits.shape[1])

    @cached_property
    def people(self) -> Int[ndarray, " samples"] | None:
        """Whose each sample is, in numbers from 0; samples of nobody known count as one person each."""
        if self.subjects is None:
            return None
        known = self.subjects.numpy()
        return np.where(known < 0, int(known.max(initial=0)) + 1 + np.arange(len(known)), known)

    @cached_property
    def confidence(self) -> Float64[ndarray, " samples"]:
        """The softmax probability of the true class, 0 to 1."""
        probability: ndarray = np.exp(-self.loss)
        return probability

    @cached_property
    def loss(self) -> Float64[ndarray, " samples"]:
        """Cross-entropy, in nats."""
        return -self._true(self._log_probabilities)

    @cached_property
    def entropy(self) -> Float64[ndarray, " samples"]:
        """Shannon entropy of the prediction, in nats: 0 when certain, log C when uniform."""
        terms: ndarray = np.exp(self._log_probabilities) * self._log_probabilities
        total: ndarray = np.maximum(0.0, -terms.sum(axis=1))
        return total

    @cached_property
    def normalised_entropy(self) -> Float64[ndarray, " samples"]:
        """Entropy divided by log C: 0 when certain, 1 when uniform; comparable between data sets."""
        relative: ndarray = np.clip(self.entropy / np.log(self.classes), 0.0, 1.0)
        return relative

    @cached_property
    def margin(self) -> Float64[ndarray, " samples"]:
        """Logit-scaled confidence log(p / (1 - p)) of the true class, without cancellation near 0 and 1.

        p / (1 - p) = exp(z_true) / sum of exp(z_other), so that neither p nor 1 - p has to be computed.
        Source: Carlini et al., "Membership inference attacks from first principles", S&P 2022, section VI.
        """
        from scipy.special import logsumexp  # here, as importing scipy.special takes a third of a second

        scores = self.logits.double().numpy()
        others = scores.copy()
        others[np.arange(len(self)), self.labels.numpy()] = -np.inf
        scaled: ndarray = self._true(scores) - logsumexp(others, axis=1)
        return scaled

    @cached_property
    def predictions(self) -> Int[ndarray, " samples"]:
        """The class with the largest logit; at a tie, the first of them."""
        chosen: ndarray = self.logits.argmax(dim=1).numpy()
        return chosen

    @cached_property
    def correct(self) -> Bool[ndarray, " samples"]:
        """Whether the prediction is the true class."""
        return np.asarray(self.predictions == self.labels.numpy())

    def where(self, chosen: Bool[ndarray, " samples"]) -> "Signals":
        """The samples that are marked.

        Raises:
            AuditError: when none is.
        """
        marks = torch.from_numpy(np.ascontiguousarray(chosen))
        subjects = None if self.subjects is None else self.subjects[marks]
        return Signals(self.logits[marks], self.labels[marks], subjects)

    @cached_property
    def _log_probabilities(self) -> Float64[ndarray, "samples classes"]:
        logarithms: ndarray = self.logits.double().log_softmax(dim=1).numpy()
        return logarithms

    def _true(self, values: Float[ndarray, "samples classes"]) -> Float64[ndarray, " samples"]:
        picked: ndarray = values[np.arange(len(self)), self.labels.numpy()]
        return picked


@dataclass(frozen=True, kw_only=True, eq=False)
class Relearned:
    """The answers of a network that was trained further on the retain set and on a few forgotten samples.

    Attributes:
        forget: to the forgotten samples that it was not trained on again.
        unseen: to the test samples of the forget set's classes.
    """

    forget: Signals
    unseen: Signals


@dataclass(frozen=True, kw_only=True, eq=False)
class RoleSignals:
    """The answers of one network in the four roles, each in the order of the data set (an attack uses it).

    A holdout set is optional: no attack and no accuracy reads it. Without a test set there is nothing to compare forget
    samples with, and every number that needs one is left out. `probe` has what a linear probe answers to unseen samples
    of forgotten classes (`obliq.auditing.probe`), where it could be fitted. `relearned` has those after relearning
    (`obliq.auditing.relearning`), where that was possible. With `classes_alone`, only the classes of the answers are
    known: logits are then 1 for the class that was answered and 0 otherwise.
    """

    forget: Signals
    retain: Signals
    test: Signals | None = None
    holdout: Signals | None = None
    probe: Signals | None = None
    relearned: Relearned | None = None
    classes_alone: bool = False

    @property
    def tested(self) -> Signals:
        """The answers to the test set.

        Raises:
            AuditError: when there is none.
        """
        if self.test is None:
            raise AuditError("no test samples were given, and this number needs them; expected a test part")
        return self.test

    @cached_property
    def same_classes(self) -> Bool[ndarray, " test"]:
        """Whether each test sample is of a class that occurs in the forget set."""
        return np.isin(self.tested.labels.numpy(), np.unique(self.forget.labels.numpy()))

    @cached_property
    def unseen(self) -> Signals:
        """The samples that forget samples are compared with: test samples of the forget set's classes.

        Raises:
            AuditError: when the test set has no sample of these classes.
        """
        same = self.same_classes
        if not same.any():
            raise AuditError(
                "the test set has no sample of the forget set's classes; expected some to compare with"
            )
        return self.tested.where(same)


def compute_signals(model: nn.Module, examples: Examples, device: torch.device) -> Signals:
    """Evaluate a network once on every sample, in evaluation mode; its mode is restored afterwards.

    Raises:
        AuditError: for no samples, or answers that are not one finite row per sample.
    """
    return compute_predictor_signals(TorchPredictor(model, device), examples)


def compute_predictor_signals(predictor: Predictor, examples: Examples) -> Signals:
    """Evaluate any predictor once on every sample: a network, or an exported file in its runtime.

    Raises:
        AuditError: for no samples, or answers that are not one finite row per sample.
    """
    if len(examples) == 0:
        raise AuditError("no samples to audit; expected at least one in every role")
    subjects = examples.collection.subjects
    return Signals(
        collect_logits(predictor, examples),
        examples.labels,
        None if subjects is None else subjects[examples.indices],
    )
