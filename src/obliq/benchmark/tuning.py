"""Which settings a method takes part with: the trial closest to retraining, on a split of its own.

Nothing of the test part is looked at: the holdout part stands in for it, as a user has no other. What was
chosen is written to `tuned.json` and kept: a later run takes it from there, unless a method's trials have changed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from obliq.benchmark.entrants import Contender
from obliq.benchmark.scenario import Scenario
from obliq.benchmark.suite import Suite, World
from obliq.errors import ObliqError
from obliq.io.documents import DocumentType
from obliq.io.strict_json import encode, parse_json

FILE = "tuned.json"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was tried for one contender and one request, and what was chosen.

    Attributes:
        data, architecture, bits, scenario: where it was tried; it counts for all bit widths.
        contender: its name.
        seed: of the tuning split.
        trials: the fields of each trial, as JSON text.
        gaps: Avg. Gap of each trial to its split's own retrained network, in points; None where it failed.
        chosen: position of the smallest, the first of equals; None when every trial failed.
        error: why, in that case.
    """

    data: str
    architecture: str
    bits: str
    scenario: str
    contender: str
    seed: int
    trials: tuple[str, ...]
    gaps: tuple[float | None, ...]
    chosen: int | None
    error: str = ""

    def __post_init__(self) -> None:
        if len(self.gaps) != len(self.trials) or self.chosen != smallest(self.gaps):
            raise ObliqError(
                f"the choice for {self.contender!r} is {self.chosen} of gaps {self.gaps}; expected the smallest of "
                f"{len(self.trials)}"
            )

    @property
    def fields(self) -> dict[str, Any] | None:
        """The chosen fields; None when every trial failed."""
        return None if self.chosen is None else parse_json(self.trials[self.chosen].encode())


@dataclass(frozen=True, kw_only=True)
class TunedSettings:
    """What tuned.json holds."""

    choices: tuple[Choice, ...]


TUNED_DOCUMENT = DocumentType(content=TunedSettings, format="obliq-tuned", version=1, title="tuning")


def smallest(gaps: Sequence[float | None]) -> int | None:
    """The position of the smallest number, the first of equals; None where there is no number."""
    numbers = [(gap, number) for number, gap in enumerate(gaps) if gap is not None]
    return min(numbers)[1] if numbers else None


def text_of(fields: Mapping[str, Any]) -> str:
    """Fields as JSON text, the same for equal ones."""
    return json.dumps(encode(fields), sort_keys=True, allow_nan=False)


Place = tuple[str, str, str]


def place_of(world: World, scenario: Scenario, contender: Contender) -> Place:
    """What a choice is looked up by: the world but for its bit width, the request, the contender."""
    return f"{world.data} {world.architecture}", scenario.words, contender.name


@dataclass(frozen=True)
class Tuned:
    """The choices of a suite."""

    choices: Mapping[Place, Choice]

    def fields(self, suite: Suite, world: World, scenario: Scenario, contender: Contender) -> dict[str, Any]:
        """The fields to take part with, tuned by the contender itself or by the one that it follows.

        Raises:
            ObliqError: when every trial failed.
        """
        by_name = {one.name: one for one in suite.contenders}
        tuned = contender if contender.follows is None else by_name[contender.follows]
        trials = tuned.trials()
        if len(trials) == 1:
            return trials[0]
        choice = self.choices[place_of(suite.tuning_world(world), suite.tuning_scenario(scenario), tuned)]
        if choice.fields is None:
            raise ObliqError(f"every trial of {tuned.name!r} failed in tuning: {choice.error}")
        return choice.fields


def known(file: Path, suite: Suite) -> dict[Place, Choice]:
    """The choices in a file that were made among the trials that the suite would try now.

    Raises:
        ObliqError: when the file does not hold choices.
    """
    tuned = TUNED_DOCUMENT.read_if_present(file)
    if tuned is None:
        return {}
    trials = {one.name: tuple(map(text_of, one.trials())) for one in suite.contenders}
    return {
        (f"{one.data} {one.architecture}", one.scenario, one.contender): one
        for one in tuned.choices
        if one.seed == suite.tuning_seed
        and one.bits == suite.tuning_bits
        and one.trials == trials.get(one.contender)
    }


def write(choices: Mapping[Place, Choice]) -> str:
    """The text of the file."""
    return TUNED_DOCUMENT.to_text(TunedSettings(choices=tuple(choices[key] for key in sorted(choices))))
