"""A set of samples as a short text, `0-1276,1300`, in which a saved network records parts that its user named."""

import re
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Int
from torch import Tensor

from obliq.errors import DataError

_RANGE = re.compile(r"([0-9]{1,15})(?:-([0-9]{1,15}))?")
MOST_IDS = 2**31
"""More than any collection has: a text of a few letters must not describe more memory than a computer has."""


@dataclass(frozen=True)
class SampleIds:
    """Positions of samples in their collection, ascending, as ranges whose ends are included.

    `SampleIds.parse` is the inverse of `str`.
    """

    ranges: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        if not self.ranges:
            raise DataError("no ids; expected at least one")
        apart = all(one[1] + 1 < other[0] for one, other in pairwise(self.ranges))
        if not apart or any(first < 0 or first > last for first, last in self.ranges):
            raise DataError("ranges of ids that overlap, touch or fall; expected rising ranges like 0-99,150")
        if len(self) > MOST_IDS:
            raise DataError(f"{len(self):,} ids; expected at most {MOST_IDS}")

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.ranges)

    def __str__(self) -> str:
        return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in self.ranges)

    @classmethod
    def of(cls, ids: Int[Tensor, " ids"]) -> "SampleIds":
        """The ids in a tensor, in any order.

        Raises:
            DataError: for no ids, and an id that occurs twice.
        """
        ascending = ids.sort().values
        gaps = ascending.diff()
        if bool((gaps == 0).any()):
            twice = int(ascending[1:][gaps == 0][0])
            raise DataError(f"id {twice} occurs twice; expected each once")
        starts = torch.cat([ascending[:1], ascending[1:][gaps > 1]])
        ends = torch.cat([ascending[:-1][gaps > 1], ascending[-1:]])
        return cls(tuple(zip(starts.tolist(), ends.tolist(), strict=True)))

    @classmethod
    def parse(cls, text: str) -> "SampleIds":
        """Read what `str` wrote.

        Raises:
            DataError: for any other text.
        """
        found = [_RANGE.fullmatch(entry) for entry in text.split(",")]
        if not all(found):
            raise DataError(f"ids {text[:40]!r}; expected ranges like 0-99,150")
        return cls(tuple((int(one[1]), int(one[2] or one[1])) for one in found if one))

    def tensor(self) -> Int[Tensor, " ids"]:
        """The ids, ascending."""
        return torch.cat([torch.arange(first, last + 1) for first, last in self.ranges])
