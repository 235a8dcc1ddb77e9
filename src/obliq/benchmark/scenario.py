"""A scenario: what is to be forgotten, independent of the original. The samples are drawn once that is trained."""

import re
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float64, Int
from torch import Tensor

from obliq.data import UNKNOWN_SUBJECT, Partition, memorised, parse_selector, select
from obliq.data.selectors import Classes, RandomCount, RandomShare, Subjects
from obliq.errors import DataError

LEVELS = ("low", "medium", "high")
ACCEPTED = "random=10%, random=600, class=0, subjects=10 or memorised=high"


@dataclass(frozen=True)
class Scenario:
    """A kind of request.

    Attributes:
        text: `random=10%`, `random=600`, `class=0`; `subjects=10`: that many people of those trained on;
            `memorised=low`, `medium` or `high`: samples by how strongly they are memorised.
        version: of the choice, from 1. Raise it when the same text and seed choose other samples.
    """

    version: ClassVar[int] = 1
    text: str

    def __post_init__(self) -> None:
        kind, _, given = self.text.partition("=")
        if kind == "subjects" and re.fullmatch("[1-9][0-9]{0,8}", given):
            return
        if kind == "memorised" and given in LEVELS:
            return
        if kind in ("random", "class") and isinstance(
            parse_selector(self.text), Classes | RandomShare | RandomCount
        ):
            return
        raise DataError(f"scenario {self.text!r}; expected {ACCEPTED}")

    def __str__(self) -> str:
        return self.text

    @property
    def needs_references(self) -> bool:
        """Whether the choice of samples depends on reference networks."""
        return self.text.startswith("memorised=")

    def select_forget_set(
        self, parts: Partition, seed: int, memorisation: Float64[Tensor, " train"] | None = None
    ) -> Int[Tensor, " forget"]:
        """The ids of the training samples to forget, ascending.

        Args:
            parts: the divided data; the training part is drawn from.
            seed: of a random choice.
            memorisation: score of each training sample, where `needs_references`.

        Raises:
            DataError: when the data have no such class or not so many people.
        """
        kind, _, given = self.text.partition("=")
        if kind == "memorised":
            if memorisation is None:
                raise DataError(
                    f"{self.text} without memorisation scores; expected those of reference networks"
                )
            return memorised(parts.train, memorisation, given)
        if kind == "subjects":
            drawn = draw_subjects(parts, int(given), seed)
            return select(Subjects(tuple(map(parts.collection.subject_name, drawn))), parts, seed)
        return select(parse_selector(self.text), parts, seed)


def draw_subjects(parts: Partition, count: int, seed: int) -> tuple[int, ...]:
    """`count` of the subjects in the training part, drawn by the seed.

    Raises:
        DataError: when there are not that many, or all of them would be drawn.
    """
    owners = parts.collection.subjects
    trained = torch.tensor([]) if owners is None else torch.unique(owners[parts.train.indices])
    known = trained[trained != UNKNOWN_SUBJECT]
    if count >= len(known):
        raise DataError(
            f"subjects={count}: {parts.collection.name} has {len(known)} known people in training; "
            "expected more than are to be forgotten"
        )
    order = torch.randperm(len(known), generator=torch.Generator().manual_seed(seed))
    return tuple(sorted(int(subject) for subject in known[order[:count]]))
