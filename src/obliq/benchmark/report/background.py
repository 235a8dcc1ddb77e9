"""`about.json`: what a report states besides its rows, such as tuning, machine and versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from obliq.benchmark.cache_keys import TaskKeys
from obliq.benchmark.report.access import access_by_name
from obliq.benchmark.suite import Setup, Suite
from obliq.benchmark.tuning import TuningChoice
from obliq.io.documents import DocumentType
from obliq.io.strict_json import OMITTED_BY_DEFAULT, encode
from obliq.methods import UsedAccess

ABOUT = "about.json"


@dataclass(frozen=True, kw_only=True)
class Background:
    """How the rows were produced. What is not known is left out of the report, never guessed.

    Attributes:
        access: from a method's name to what it reads of the data that remain; None where that is not recorded.
        follows: from an ablation's name to the method whose tuned fields it takes.
        trials: number of settings that were tried for each method that is tuned; 1 where nothing was.
        beyond_edges: how many further trials there could be beyond the edge of a range.
        tuning_seed: of the originals that tuning ran on.
        tuning_bits: the bit width that tuning ran at.
        tuned_in: the network and data that tuning ran on, in words, where these are not the reported ones.
        failed_trials: how many trials of a method failed, of how many, by its name; without those that had none.
        facts: machine, versions and the like, by name.
    """

    access: dict[str, UsedAccess] | None = field(default=None, metadata=OMITTED_BY_DEFAULT)
    follows: dict[str, str] = field(default_factory=dict)
    trials: int | None = None
    beyond_edges: int = 0
    tuning_seed: int | None = None
    tuning_bits: str | None = None
    tuned_in: str | None = None
    failed_trials: dict[str, str] = field(default_factory=dict, metadata=OMITTED_BY_DEFAULT)
    facts: dict[str, str] = field(default_factory=dict)


ABOUT_DOCUMENT = DocumentType(content=Background, format=None, title="about")


def background_of(
    suite: Suite,
    keys: TaskKeys,
    machines: Iterable[Mapping[str, str]],
    choices: Iterable[TuningChoice] = (),
) -> Background:
    """The background of a suite whose rows were computed on these machines, with these choices of tuning."""
    trials = max(len(one.candidates()) for one in suite.variants)
    tuned = trials > 1
    values = dict[str, dict[str, None]]()  # a set in the order of its values
    for name, value in (pair for machine in machines for pair in machine.items() if pair[1]):
        values.setdefault(name, {})[value] = None
    facts = {name: " or ".join(several) for name, several in values.items()}
    facts["device"] = keys.environment.device
    if keys.environment.autocast:
        facts["convolutions in"] = "bfloat16 (--autocast)"
    if keys.environment.compiled:
        facts["trainings"] = "compiled (--compile)"
    return Background(
        access=access_by_name(suite),
        follows=dict(sorted((one.name, one.follows) for one in suite.variants if one.follows is not None)),
        trials=trials,
        beyond_edges=suite.beyond_edges if tuned else 0,
        tuning_seed=suite.tuning_seed if tuned else None,
        tuning_bits=suite.tuning_bits if tuned else None,
        failed_trials=_failed_trials(choices),
        facts=dict(sorted(facts.items())),
        tuned_in=None if suite.tuned_in is None or not tuned else _in_words(suite.tuned_in, suite.setups[0]),
    )


def _failed_trials(choices: Iterable[TuningChoice]) -> dict[str, str]:
    tried, failed = Counter[str](), Counter[str]()
    for one in choices:
        tried[one.contender] += len(one.trials)
        failed[one.contender] += one.gaps.count(None)
    return {name: f"{failed[name]} of {tried[name]}" for name in sorted(tried) if failed[name]}


def _in_words(tuned: Setup, reported: Setup) -> str:
    """A setup that is tuned in, with the settings of its recipe that are others than in a reported one."""
    images = f"{tuned.limit} images" if tuned.limit else "all images"
    ours, theirs = encode(tuned.recipe), encode(reported.recipe)
    others = ", ".join(f"{name}={ours[name]}" for name in ours if ours[name] != theirs.get(name))
    recipe = f", by a recipe of its own ({others})" if others else ""
    return f"{tuned.architecture} with {images} of {tuned.data}{recipe}"


def read_background(folder: Path) -> Background:
    """The background in a folder of results.

    Raises:
        ObliqError: when the file is missing, or not as it was written.
    """
    return ABOUT_DOCUMENT.read(folder / ABOUT)
