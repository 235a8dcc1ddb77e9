"""Where and how a computation runs: an explicit value, never global state."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch


class Listener(Protocol):
    """Someone who is told how a computation goes on, for a progress bar or a record."""

    def __call__(self, stage: str, step: int, of: int, values: Mapping[str, float]) -> None:
        """Hear that `step` of `of` steps of `stage` are done, with the values measured there."""


def silent(stage: str, step: int, of: int, values: Mapping[str, float]) -> None:
    """Listen to nothing."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """The circumstances of one computation.

    `seed` decides every random draw: two runs with equal seeds, inputs and thread counts give
    the same integers. `autocast` runs convolutions in bfloat16 on devices that profit from it.
    """

    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    autocast: bool = False
    listen: Listener = silent

    def generator(self, purpose: int = 0) -> torch.Generator:
        """A fresh random generator; different purposes of one run draw independent streams."""
        return torch.Generator().manual_seed(self.seed * 1_000_003 + purpose)
