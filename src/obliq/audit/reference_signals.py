"""What reference networks say: the same form and recipe as the original, each trained on half of its data."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float64, Int
from numpy import ndarray

from obliq.errors import AuditError


@dataclass(frozen=True, kw_only=True, eq=False)
class ReferenceAnswers:
    """The answers of all reference networks about some samples, in one order.

    Attributes:
        margin: logit-scaled confidence log(p / (1 - p)) of the true class; exact near 0 and 1, see `Signals`.
        out: marks, for each sample, the networks that stand for "never saw it"; as many for every sample.
            About training samples, the other networks did see it. About unseen samples no network did, and
            the others are left unused: an average over more networks varies less, and would set the
            sample apart by itself.
    """

    margin: Float64[ndarray, "references samples"] = field(repr=False)
    out: Bool[ndarray, "references samples"] = field(repr=False)

    def __post_init__(self) -> None:
        counts = np.unique(self.out.sum(axis=0))
        if len(counts) != 1 or counts[0] < 1:
            raise AuditError(
                f"samples have {', '.join(map(str, counts)) or 'no'} reference networks that did not see them; "
                "expected the same number, at least one, for every sample"
            )
        unusable = int((~np.isfinite(self.margin)).any(axis=0).sum())
        if unusable:
            raise AuditError(f"reference networks answer {unusable} samples with NaN; expected numbers")

    def __len__(self) -> int:
        return int(self.margin.shape[1])

    @property
    def networks(self) -> int:
        """How many networks there are."""
        return int(self.margin.shape[0])

    @property
    def outsiders(self) -> int:
        """How many of them stand for "never saw it", for each sample."""
        return int(self.out[:, 0].sum())

    @property
    def out_margin(self) -> Float64[ndarray, "outsiders samples"]:
        """The margins of those that did not see the sample."""
        return _by_sample(self.margin, self.out)

    @property
    def in_margin(self) -> Float64[ndarray, "insiders samples"]:
        """The margins of the others: about training samples, those that saw it."""
        return _by_sample(self.margin, ~self.out)

    def take(self, positions: Int[ndarray, " chosen"]) -> "ReferenceAnswers":
        """The samples at these positions, in their order."""
        return ReferenceAnswers(margin=self.margin[:, positions], out=self.out[:, positions])


@dataclass(frozen=True, kw_only=True, eq=False)
class ReferenceSignals:
    """What an audit needs of the reference networks.

    Attributes:
        forget: about the forget set, in its order.
        test: about the test set, in its order.
    """

    forget: ReferenceAnswers
    test: ReferenceAnswers

    def __post_init__(self) -> None:
        if self.forget.outsiders != self.test.outsiders:
            raise AuditError(
                f"{self.forget.outsiders} reference networks a forget sample and {self.test.outsiders} a test "
                "sample; expected the same number, or the number alone tells them apart"
            )


def _by_sample(values: ndarray, chosen: ndarray) -> ndarray:
    """The chosen values of each column, packed; every column has the same number of them."""
    return np.ascontiguousarray(values.T[chosen.T].reshape(values.shape[1], -1).T)
