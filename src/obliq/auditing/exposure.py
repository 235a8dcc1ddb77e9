"""What the networks before and after unlearning reveal together: which group of samples was forgotten.

Anyone who holds a device's old network and a patch has both networks. The loss of forgotten samples rises from the one
to the other, that of other samples hardly moves. Ranking known groups by this rise can therefore name the forgotten.

Source: Chen et al., "When machine unlearning jeopardizes privacy", CCS 2021, who compare a network before and after a
deletion. Deviations: whole groups instead of single samples, and the mean rise of the loss instead of a trained attack.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from jaxtyping import Float64, Int
from numpy import ndarray
from torch import Tensor

from obliq.auditing.signals import RoleSignals
from obliq.data import Splits
from obliq.data.collection import UNKNOWN_SUBJECT
from obliq.errors import AuditError

GroupKind = Literal["people", "classes", "random groups"]

DRAWS: Final = 99
"""Groups that are drawn at random."""

FEWEST_GROUPS: Final = 4
"""People or classes besides the forgotten ones below which groups are drawn at random."""

SMALLEST: Final = 0.25
"""Share of the forgotten samples that another person must have: a mean over fewer varies too much to compare."""


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """The rank of the forgotten samples among groups, by how much their mean loss rose.

    Attributes:
        rank: 1 for the largest rise. Half of the groups with the same rise count as above, rounded up.
        of: how many groups were ranked, the forgotten one included.
        groups: what they are.
    """

    rank: int
    of: int
    groups: GroupKind

    def __post_init__(self) -> None:
        if not 1 <= self.rank <= self.of:
            raise AuditError(f"rank {self.rank} of {self.of}; expected 1 to {self.of}")

    def __str__(self) -> str:
        """The rank in words."""
        return f"rank {self.rank} of {self.of} {self.groups}"


def measure_exposure(original: RoleSignals, unlearned: RoleSignals, splits: Splits) -> Exposure | None:
    """Rank the forgotten samples among comparable groups of retained ones by the rise of their mean loss.

    Comparable are other people, where whole people were forgotten; other classes, where whole classes were; otherwise
    random groups of as many samples. Several forgotten people are compared with random sets of as many other people.
    Unseen samples are not among them: the old network alone tells them apart from its training samples.

    Args:
        original: the network before the request, on all samples of the splits.
        unlearned: the network after it, on the same ones.
        splits: the roles of the samples.

    Returns:
        The rank; None where there are too few retained samples for a single group.
    """
    forgotten = float((unlearned.forget.loss - original.forget.loss).mean())
    rises = unlearned.retain.loss - original.retain.loss
    indices, collection = splits.retain.indices, splits.partition.collection
    generator = np.random.default_rng(0)  # the same groups in every audit of a request
    if collection.subjects is not None and _are_whole(collection.subjects, splits):
        size, count = len(splits.forget), len(torch.unique(collection.subjects[splits.forget.indices]))
        means = _group_means(rises, collection.subjects[indices], SMALLEST * size / count, count, generator)
        if len(means) >= FEWEST_GROUPS:
            return _ranked(forgotten, means, "people")
    if splits.forgotten_classes == frozenset(splits.forget.labels.tolist()):
        means = _group_means(rises, collection.labels[indices], 0, len(splits.forgotten_classes), generator)
        if len(means) >= FEWEST_GROUPS:
            return _ranked(forgotten, means, "classes")
    size = min(len(splits.forget), len(rises) // 2)
    if size == 0:
        return None
    drawn = [rises[generator.choice(len(rises), size, replace=False)].mean() for _ in range(DRAWS)]
    return _ranked(forgotten, np.array(drawn), "random groups")


def _are_whole(owners: Tensor, splits: Splits) -> bool:
    """Whether the forgotten samples are all training samples of some known people."""
    forgotten = owners[splits.forget.indices]
    shared = torch.isin(owners[splits.retain.indices], forgotten)
    return bool((forgotten != UNKNOWN_SUBJECT).all()) and not bool(shared.any())


def _group_means(
    rises: Float64[ndarray, " samples"],
    groups: Int[Tensor, " samples"],
    smallest: float,
    together: int,
    generator: np.random.Generator,
) -> Float64[ndarray, " groups"]:
    """The mean rise of every group that is large enough, or of random sets of as many groups as were forgotten."""
    numbers = groups.numpy()
    known = [rises[numbers == group] for group in np.unique(numbers) if group != UNKNOWN_SUBJECT]
    parts = [part for part in known if len(part) >= smallest]
    if together == 1:
        return np.array([part.mean() for part in parts])
    if len(parts) <= together:
        return np.empty(0)
    sets = (generator.choice(len(parts), together, replace=False) for _ in range(DRAWS))
    return np.array([np.concatenate([parts[place] for place in chosen]).mean() for chosen in sets])


def _ranked(forgotten: float, others: Float64[ndarray, " groups"], groups: GroupKind) -> Exposure:
    above, equal = int((others > forgotten).sum()), int((others == forgotten).sum())
    return Exposure(rank=1 + above + (equal + 1) // 2, of=len(others) + 1, groups=groups)
