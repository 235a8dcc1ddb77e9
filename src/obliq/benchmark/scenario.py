"""What is to be forgotten, in words that fit any original: who that is, is drawn when it is trained."""

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
        words: `random=10%`, `random=600`, `class=0`; `subjects=10`: that many people of those trained on;
            `memorised=low`, `medium` or `high`: samples by how much they are learned by heart.
        version: of the choice, from 1. Raise it when the same words and seed choose other samples.
    """

    version: ClassVar[int] = 1
    words: str

    def __post_init__(self) -> None:
        kind, _, given = self.words.partition("=")
        if kind == "subjects" and re.fullmatch("[1-9][0-9]{0,8}", given):
            return
        if kind == "memorised" and given in LEVELS:
            return
        if kind in ("random", "class") and isinstance(
            parse_selector(self.words), Classes | RandomShare | RandomCount
        ):
            return
        raise DataError(f"scenario {self.words!r}; expected {ACCEPTED}")

    def __str__(self) -> str:
        return self.words

    @property
    def needs_references(self) -> bool:
        """Whether reference networks decide who is forgotten."""
        return self.words.startswith("memorised=")

    def forget(
        self, parts: Partition, seed: int, memorisation: Float64[Tensor, " train"] | None = None
    ) -> Int[Tensor, " forget"]:
        """The ids of the training samples to forget, ascending.

        Args:
            parts: who was trained on.
            seed: decides a random request.
            memorisation: score of each training sample, where `needs_references`.

        Raises:
            DataError: when the data have no such class or not so many people.
        """
        kind, _, given = self.words.partition("=")
        if kind == "memorised":
            if memorisation is None:
                raise DataError(
                    f"{self.words} without memorisation scores; expected those of reference networks"
                )
            return memorised(parts.train, memorisation, given)
        if kind == "subjects":
            return select(Subjects(people(parts, int(given), seed)), parts, seed)
        return select(parse_selector(self.words), parts, seed)


def people(parts: Partition, count: int, seed: int) -> tuple[int, ...]:
    """`count` of the people that were trained on, drawn by the seed.

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
    return tuple(sorted(int(person) for person in known[order[:count]]))
