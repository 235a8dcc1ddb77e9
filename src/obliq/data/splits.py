"""The role of every sample: forget, retain, holdout or test, disjoint by construction.

A `Partition` is drawn once, when the original network is trained, from one seed that is stored with
it; a request later divides the training part alone into `Splits`. Original, unlearned and retrained
networks therefore agree on every sample's role.
"""

import hashlib
import hmac
import itertools
import secrets
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Int
from torch import Tensor

from obliq.argument_types import require_field_types, require_flags
from obliq.data.collection import UNKNOWN_SUBJECT, Collection, Examples
from obliq.data.missing_examples import MissingExamples
from obliq.data.sample_ids import SampleIds
from obliq.errors import DataError
from obliq.io.strict_json import OMITTED_BY_DEFAULT


@dataclass(frozen=True, kw_only=True)
class PartitionRule:
    """How a collection is divided before training; stored with the network that was trained on it.

    A part is drawn by its share, or consists of the samples that the user named. Only the training part must have
    samples.

    Attributes:
        seed: decides every draw.
        holdout: share of the samples (of the subjects, where they are known) kept out of training,
            for calibration and as non-members; or their ids. 0 for no such part.
        test: the same for the test part; a share is unused where the collection has an official one.
        limit: at most about this many training samples, whole subjects where they are known; 0 for all.
        train: ids of the samples that a network was trained on, where the user named them. All others are then unseen:
            `holdout` and `test` are the proportion in which they are divided, or ids.
        version: of the division, from 1. Raise it when the same rule divides the same data otherwise.
    """

    version: ClassVar[int] = 1

    seed: int = 0
    holdout: float | SampleIds = 0.15
    test: float | SampleIds = 0.15
    limit: int = 0
    train: SampleIds | None = field(default=None, metadata=OMITTED_BY_DEFAULT)

    def __post_init__(self) -> None:
        require_field_types(self)
        shares = [share_of(part) for part in (self.holdout, self.test)]
        if not (all(0 <= share < 1 for share in shares) and sum(shares) < 1):
            raise DataError(
                f"holdout={shares[0]}, test={shares[1]}; expected shares of at least 0 that leave some data"
            )
        if self.limit < 0 or (self.limit and self.train):
            raise DataError(
                f"limit={self.limit}; expected 0 (all) or a number of samples, and 0 with a training part of ids"
            )


def share_of(part: float | SampleIds) -> float:
    """The share by which a part is drawn; 0 for one whose samples were named."""
    return 0.0 if isinstance(part, SampleIds) else part


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
        require_disjoint(train=self.train, holdout=self.holdout, test=self.test)
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
        """SHA-256 over the content and the roles before any request.

        It names no person, but it is not keyed: whoever has the same data can confirm that they were used.
        """
        parts = (self.train.indices, self.holdout.indices, self.test.indices)
        return hashlib.sha256(b"".join([self.collection.digest.encode(), *map(_packed, parts)])).hexdigest()

    def forgetting(
        self,
        forget: Int[Tensor, " forget"],
        *,
        salt: bytes | None = None,
        earlier: Int[Tensor, " earlier"] | None = None,
    ) -> "Splits":
        """Divide the training part into what is forgotten and what is retained.

        Args:
            forget: ids of samples, all of them in the training part, without repetition.
            salt: key of the commitment; a fresh random one when left out.
            earlier: ids of training samples that earlier requests named, none of them in `forget`. They have no role.
                Where these requests left nothing of a class, no holdout or test sample of it has one either, because
                the class is no longer part of what the network is for.

        Raises:
            DataError: for no ids, unknown or repeated ids, ids outside the training part or forgotten before, or
                nothing to retain.
        """
        remaining, holdout, test = self.train, self.holdout, self.test
        if earlier is not None and len(earlier):
            remaining = self.remaining(earlier)
            if again := int(torch.isin(forget, earlier).sum()):
                raise DataError(
                    f"{again:,} of {len(forget):,} samples were forgotten before; expected samples that remain"
                )
            lost = sorted(set(self.train.labels.tolist()) - set(remaining.labels.tolist()))
            gone = torch.tensor(lost, dtype=torch.int64)
            holdout = _without_classes(holdout, gone, "holdout")
            test = _without_classes(test, gone, "test")
        forgotten, retain = divide(remaining, forget)
        return Splits(
            partition=self,
            forget=forgotten,
            retain=retain,
            holdout=holdout,
            test=test,
            salt=secrets.token_bytes(32) if salt is None else salt,
        )

    def remaining(self, earlier: Int[Tensor, " earlier"]) -> Examples:
        """The training samples that no earlier request named.

        Args:
            earlier: ids of samples that earlier requests named.

        Raises:
            DataError: for ids outside the training part.
        """
        if outside := int((~torch.isin(earlier, self.train.indices)).sum()):
            raise DataError(
                f"{outside:,} of {len(earlier):,} samples of earlier requests were never trained on; expected requests "
                "for this division of the data"
            )
        return self.train.where(~torch.isin(self.train.indices, earlier))


@dataclass(frozen=True, eq=False)
class Splits:
    """The roles under one request. Methods may read forget, retain and holdout; test is for audits.

    Attributes:
        partition: the division of the data.
        forget: what is to be forgotten.
        retain: the rest of what was trained on.
        holdout: samples of the same kind that were not trained on.
        test: others, for audits alone.
        salt: key of the commitment.
        whole_classes: whether the forget set holds all that there was of each of its classes, where no retain set
            shows it; None where there is one.
    """

    partition: Partition
    forget: Examples
    retain: Examples
    holdout: Examples
    test: Examples
    salt: bytes = field(repr=False)
    whole_classes: bool | None = None

    def __post_init__(self) -> None:
        if self.whole_classes is not None:
            require_flags(whole_classes=self.whole_classes)
        require_disjoint(forget=self.forget, retain=self.retain, holdout=self.holdout, test=self.test)

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
        named = frozenset(self.forget.labels.tolist())
        if self.whole_classes is not None:
            return named if self.whole_classes else frozenset()
        return named - frozenset(self.retain.labels.tolist())

    @cached_property
    def absent_classes(self) -> frozenset[int]:
        """Classes that were trained on and of which nothing is retained, those of earlier requests among them."""
        return frozenset(set(self.partition.train.labels.tolist()) - set(self.retain.labels.tolist()))

    @cached_property
    def absent_subjects(self) -> frozenset[int]:
        """People who were trained on and of whom nothing is retained, those of earlier requests among them.

        Empty where people are not recorded.
        """
        people = self.partition.collection.subjects
        if people is None:
            return frozenset()
        trained, kept = (people[part.indices].tolist() for part in (self.partition.train, self.retain))
        return frozenset(set(trained) - set(kept) - {UNKNOWN_SUBJECT})


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
            f"{len(outside):,} of {len(forget):,} samples to forget were never trained on (first id "
            f"{int(outside[0])}); expected ids of the training part"
        )
    if len(forget) == len(train):
        raise DataError(
            f"all {len(forget):,} training samples are to be forgotten; expected some to be retained"
        )
    return Examples(train.collection, forget), train.where(~torch.isin(train.indices, forget))


def _without_classes(part: Examples, gone: Int[Tensor, " classes"], role: str) -> Examples:
    """The samples of other classes; a part that is missing stays so."""
    if isinstance(part, MissingExamples) or len(gone) == 0:
        return part
    kept = part.where(~torch.isin(part.labels, gone))
    return kept if len(kept) else MissingExamples(kept.collection, kept.indices, role)


def _packed(indices: Tensor) -> bytes:
    return len(indices).to_bytes(8, "little") + indices.to(torch.int64).contiguous().numpy().tobytes()


def require_disjoint(**parts: Examples) -> None:
    """Raise unless no sample has two roles.

    Raises:
        DataError: naming a sample and its roles.
    """
    for (first, one), (second, other) in itertools.combinations(parts.items(), 2):
        if len(common := one.indices[torch.isin(one.indices, other.indices)]):
            names, index = one.collection.sample_names, int(common.min())
            others = f", and so are {len(common) - 1:,} more" if len(common) > 1 else ""
            raise DataError(
                f"sample {names[index] if names else index} is in both {first} and {second}{others}; expected "
                "disjoint parts"
            )
