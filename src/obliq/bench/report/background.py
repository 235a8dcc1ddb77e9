"""What a report tells besides the rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Background:
    """How the rows came about. What is not known is left out of the report, never guessed.

    Attributes:
        follows: from an ablation's name to the contender whose tuned fields it takes.
        trials: settings tried for each contender that is tuned.
        tuning_seed: of the originals that tuning ran on.
        tuning_bits: the bit width that tuning ran at.
        tuned_in: the network and data that tuning ran on, in words, where these are not the reported ones.
        facts: machine, versions and the like, by name.
    """

    follows: Mapping[str, str] = field(default_factory=dict)
    trials: int | None = None
    tuning_seed: int | None = None
    tuning_bits: str | None = None
    tuned_in: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
