"""The role of every sample: forget, retain, holdout or test, disjoint by construction.

A `Partition` is drawn once, when the original network is trained, from one seed that is stored with
it; a request later divides the training part alone into `Splits`. Original, unlearned and retrained
networks therefore agree on every sample's role.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from obliq.data.collection import UNKNOWN_SUBJECT, Collection, Examples
from obliq.errors import DataError


@dataclass(frozen=True, kw_only=True)
class PartitionRule:
    """How a collection is divided before training; stored with the network that was trained on it.

    Attributes:
        seed: decides every draw.
        holdout: share of the samples (of the subjects, where they are known) kept out of training,
            for calibration and as non-members.
        test: the same for the test part; unused where the collection has an official one.
        limit: at most about this many training samples, whole subjects where they are known; 0 for all.
        version: of the division, from 1. Raise it when the same rule divides the same data otherwise.
    """

    version: ClassVar[int] = 1

    seed: int = 0
    holdout: float = 0.15
    test: float = 0.15
    limit: int = 0

    def __post_init__(self) -> None:
        if not (0 < self.holdout < 1 and 0 < self.test < 1 and self.holdout + self.test < 1):
            raise DataError(
                f"holdout={self.holdout}, test={self.test}; expected shares above 0 that leave some data"
            )
        if self.limit < 0:
            raise DataError(f"limit={self.limit}; expected 0 (all) or a number of samples")


@dataclass(frozen=True, eq=False)
class MissingExamples(Examples):
    """Stands for a set that the caller left out; reading it is an error that names the argument."""

    role: str = ""

    def __len__(self) -> int:
        raise self._error()

    @property
    def labels(self) -> Int[Tensor, " samples"]:
        """Raise: there are no samples."""
        raise self._error()

    def inputs(self) -> Shaped[Tensor, "samples ..."]:
        """Raise: there are no samples."""
        raise self._error()

    def where(self, chosen: Bool[Tensor, " samples"]) -> Examples:
        """Raise: there are no samples."""
        raise self._error()

    def take(self, count: int) -> Examples:
        """Raise: there are no samples."""
        raise self._error()

    def _error(self) -> DataError:
        return DataError(
            f"no {self.role} samples were given, and this needs them; expected {self.role}=..., samples of the same "
            "kind that the network was not trained on"
        )


@dataclass(frozen=True, eq=False)
class Partition:
    """A collection divided into training, holdout and test parts.

    Attributes:
        rule: how they were drawn; None where the caller gave the parts.
        train: what the original network is trained on.
        holdout: samples kept out of training, which methods may read.
        test: samples kept out of training, which only audits read.
    """

    rule: PartitionRule | None
    train: Examples
    holdout: Examples
    test: Examples

    def __post_init__(self) -> None:
        _require_disjoint(train=self.train, holdout=self.holdout, test=self.test)
        for name, part in (("training", self.train), ("holdout", self.holdout), ("test", self.test)):
            if not isinstance(part, MissingExamples) and len(part) == 0:
                raise DataError(f"the {name} part is empty; expected samples in every part ({self.rule})")

    @property
    def collection(self) -> Collection:
        """Where the samples come from."""
        return self.train.collection

    @property
    def drawn_by(self) -> PartitionRule:
        """The rule, which a saved network records so that its data can be divided again.

        Raises:
            DataError: where the caller gave the parts.
        """
        if self.rule is None:
            raise DataError("the parts were given one by one; expected parts that `partition` has drawn")
        return self.rule

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the content and the roles before any request: not personal, safe to publish."""
        parts = (self.train.indices, self.holdout.indices, self.test.indices)
        return hashlib.sha256(b"".join([self.collection.digest.encode(), *map(_packed, parts)])).hexdigest()

    def forgetting(self, forget: Int[Tensor, " forget"], *, salt: bytes | None = None) -> "Splits":
        """Divide the training part into what is forgotten and what is retained.

        Args:
            forget: ids of samples, all of them in the training part, without repetition.
            salt: key of the commitment; a fresh random one when left out.

        Raises:
            DataError: for no ids, unknown or repeated ids, ids outside the training part, or all of it.
        """
        forgotten, retain = divide(self.train, forget)
        return Splits(
            partition=self,
            forget=forgotten,
            retain=retain,
            holdout=self.holdout,
            test=self.test,
            salt=secrets.token_bytes(32) if salt is None else salt,
        )


@dataclass(frozen=True, eq=False)
class Splits:
    """The roles under one request. Methods may read forget, retain and holdout; test is for audits."""

    partition: Partition
    forget: Examples
    retain: Examples
    holdout: Examples
    test: Examples
    salt: bytes = field(repr=False)

    def __post_init__(self) -> None:
        _require_disjoint(forget=self.forget, retain=self.retain, holdout=self.holdout, test=self.test)

    @cached_property
    def digest(self) -> str:
        """HMAC-SHA-256 over all roles, keyed by the request's salt.

        A plain hash of a small forget set could be guessed by trying every person. Without the salt, this one
        reveals nothing.
        """
        message = self.partition.digest.encode() + _packed(self.forget.indices)
        return hmac.new(self.salt, message, hashlib.sha256).hexdigest()

    @cached_property
    def forgotten_classes(self) -> frozenset[int]:
        """Classes of which nothing is retained: under a class-wise request, the class."""
        gone = set(self.forget.labels.tolist()) - set(self.retain.labels.tolist())
        return frozenset(int(label) for label in gone)


def divide(train: Examples, forget: Int[Tensor, " forget"]) -> tuple[Examples, Examples]:
    """Divide training samples into those to forget, in ascending order, and those to retain.

    Args:
        train: what a network was trained on.
        forget: ids of samples, all of them in `train`, without repetition.

    Raises:
        DataError: for no ids, unknown or repeated ids, ids outside the training part, or all of it.
    """
    forget = forget.sort().values
    if len(forget) == 0:
        raise DataError("the forget set is empty; expected at least one training sample")
    repeated = len(forget) - len(torch.unique(forget))
    if repeated:
        raise DataError(f"the forget set names {repeated} samples twice; expected each once")
    outside = forget[~torch.isin(forget, train.indices)]
    if len(outside):
        raise DataError(
            f"{len(outside)} of {len(forget)} samples to forget were never trained on (first id "
            f"{int(outside[0])}); expected ids of the training part"
        )
    if len(forget) == len(train):
        raise DataError(
            f"all {len(forget)} training samples are to be forgotten; expected some to be retained"
        )
    return Examples(train.collection, forget), train.where(~torch.isin(train.indices, forget))


def partition(data: Collection | Examples, rule: PartitionRule) -> Partition:
    """Divide samples, by subject where subjects are known, so that holdout and test are unseen people."""
    generator = torch.Generator().manual_seed(rule.seed)
    collection = data.collection if isinstance(data, Examples) else data
    everything = data.indices if isinstance(data, Examples) else torch.arange(len(collection))
    official = collection.official_test
    if official is None or not bool(official[everything].any()):
        test, rest = draw_share(collection, everything, rule.test, generator)
    else:
        test, rest = everything[official[everything]], everything[~official[everything]]
    share = min(0.9, rule.holdout * len(everything) / len(rest))
    holdout, train = draw_share(collection, rest, share, generator)
    if rule.limit and rule.limit < len(train):
        train, _ = draw_share(collection, train, rule.limit / len(train), generator)
    return Partition(rule, *(Examples(collection, part.sort().values) for part in (train, holdout, test)))


def draw_share(
    collection: Collection, pool: Tensor, share: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw about `share` of `pool`, whole subjects where known, classes in proportion where not."""
    subjects = None if collection.subjects is None else collection.subjects[pool]
    wanted = max(1, round(share * len(pool)))
    if subjects is not None and bool((subjects != UNKNOWN_SUBJECT).any()):
        # A sample of an unknown person counts as a person of its own, so that no known person is in two parts.
        subjects = torch.where(subjects == UNKNOWN_SUBJECT, UNKNOWN_SUBJECT - 1 - pool, subjects)
    if subjects is not None and len(torch.unique(subjects)) > 1:
        people, sizes = torch.unique(subjects, return_counts=True)
        order = torch.randperm(len(people), generator=generator)
        people, sizes = people[order], sizes[order].cumsum(0)
        count = int((sizes - wanted).abs().argmin()) + 1
        chosen = torch.isin(subjects, people[: min(count, len(people) - 1)])
    else:
        chosen = torch.zeros(len(pool), dtype=torch.bool)
        labels = collection.labels[pool]
        for label in torch.unique(labels):
            members = (labels == label).nonzero().flatten()
            order = torch.randperm(len(members), generator=generator)
            least = 1 if len(members) > 2 else 0  # a class of one or two samples stays in training
            chosen[members[order[: max(least, round(share * len(members)))]]] = True
    return pool[chosen], pool[~chosen]


def _packed(indices: Tensor) -> bytes:
    return len(indices).to_bytes(8, "little") + indices.to(torch.int64).contiguous().numpy().tobytes()


def _require_disjoint(**parts: Examples) -> None:
    """Raise unless no sample has two roles."""
    owner: dict[int, str] = {}
    for name, part in parts.items():
        for index in part.indices.tolist():
            if index in owner:
                raise DataError(
                    f"sample {index} is in both {owner[index]} and {name}; expected disjoint parts"
                )
            owner[index] = name
