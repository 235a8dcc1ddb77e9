"""The settings that a method is compared with: those of the trial nearest to retraining, on a split of its own.

The split is that of `obliq.benchmark.tuning_samples`. The choices are written to `tuned.json` and kept: a later run
takes them from there, unless the trials of a method, its other fields, its version, the setup or the samples to tune
on have changed, or a trial failed for a reason that may have passed. Where a suite allows it, further trials follow
beyond the edge of a method's range, see `trial_beyond_edge`.
"""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from obliq.benchmark.cache import digest_of
from obliq.benchmark.cache_keys import describe_method
from obliq.benchmark.method_variant import MethodVariant
from obliq.benchmark.scenario import Scenario
from obliq.benchmark.suite import Setup, Suite
from obliq.errors import ObliqError
from obliq.io.documents import DocumentType
from obliq.io.strict_json import OMITTED_BY_DEFAULT, encode, parse_json

TUNED = "tuned.json"
LEARNING_RATE = "learning_rate"


@dataclass(frozen=True, kw_only=True)
class FailedTrial:
    """Why a trial has no gap.

    Attributes:
        trial: its position.
        error: the reason in one line.
        methods_own: whether the method itself raised it, as it would again.
    """

    trial: int
    error: str
    methods_own: bool


@dataclass(frozen=True, kw_only=True)
class TuningChoice:
    """The trials of one method variant for one request, and the one that was chosen.

    Attributes:
        data, architecture, bits, scenario: where they were run; the choice counts for all bit widths.
        contender: name of the method variant.
        seed: of the tuning split.
        setup: digest of the setup, see `setup_digest`; empty in older files, which are taken as they are.
        version: of the method that was tried; 0 in older files, which are taken as they are.
        untuned: digest of its other fields, see `untuned_digest`; empty in older files, which are taken as they are.
        samples: digest of those to tune on, see `samples_digest`; empty in older files, which are taken as they are.
        trials: the fields of each trial, as JSON text.
        gaps: Avg. Gap of each trial to its split's own retrained network, in points; None where it failed.
        chosen: position of the smallest gap, the first of equal ones; None when every trial failed.
        beyond: how many of the trials, the last ones, lie beyond the edge of the range.
        error: the reason, where every trial failed.
        failures: the reason of each trial that failed; none in older files, which are taken as they are.
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
    beyond: int = 0
    error: str = ""
    setup: str = field(default="", metadata=OMITTED_BY_DEFAULT)
    version: int = field(default=0, metadata=OMITTED_BY_DEFAULT)
    untuned: str = field(default="", metadata=OMITTED_BY_DEFAULT)
    samples: str = field(default="", metadata=OMITTED_BY_DEFAULT)
    failures: tuple[FailedTrial, ...] = field(default=(), metadata=OMITTED_BY_DEFAULT)

    def __post_init__(self) -> None:
        if len(self.gaps) != len(self.trials) or self.chosen != position_of_smallest(self.gaps):
            raise ObliqError(
                f"the choice for {self.contender!r} is {self.chosen} of gaps {self.gaps}; expected the smallest of "
                f"{len(self.trials)}"
            )
        if any(gap is not None and gap < 0 for gap in self.gaps):
            raise ObliqError(f"the choice for {self.contender!r} has gaps {self.gaps}; expected none below 0")
        if self.beyond and not 0 < self.beyond < len(self.trials):
            raise ObliqError(
                f"the choice for {self.contender!r} has {self.beyond} of {len(self.trials)} trials beyond the edge; "
                "expected from 0 to fewer than all"
            )
        failed = {number for number, gap in enumerate(self.gaps) if gap is None}
        if not failed.issuperset(one.trial for one in self.failures):
            raise ObliqError(
                f"the choice for {self.contender!r} has reasons of trials {[one.trial for one in self.failures]}; "
                f"expected those without a gap, {sorted(failed)}"
            )
        for trial in self.trials:
            parse_json(trial.encode())

    @property
    def is_final(self) -> bool:
        """Whether every trial that failed would fail again; others are worth another run."""
        return all(one.methods_own for one in self.failures)

    @property
    def fields(self) -> dict[str, Any] | None:
        """The chosen fields; None when every trial failed."""
        return None if self.chosen is None else parse_json(self.trials[self.chosen].encode())

    @property
    def every_fields(self) -> tuple[dict[str, Any], ...]:
        """The fields of each trial."""
        return tuple(parse_json(one.encode()) for one in self.trials)


@dataclass(frozen=True, kw_only=True)
class TuningDocument:
    """The content of `tuned.json`."""

    choices: tuple[TuningChoice, ...]


TUNING_DOCUMENT = DocumentType(content=TuningDocument, format="obliq-tuned", title="tuning")


def position_of_smallest(gaps: Sequence[float | None]) -> int | None:
    """The position of the smallest number, the first of equal ones; None where there is no number."""
    numbers = [(gap, number) for number, gap in enumerate(gaps) if gap is not None]
    return min(numbers)[1] if numbers else None


def trial_beyond_edge(
    trials: Sequence[Mapping[str, Any]], gaps: Sequence[float | None]
) -> dict[str, Any] | None:
    """The next trial beyond the edge of a range, where the best one lies there; None where it lies inside.

    The range is that of the learning rate, or of the first field with several numbers where a method tunes no
    learning rate. The new value goes on at the ratio of the two outermost values, to three digits. The other fields
    keep their best values. There is no next trial either where this value is no new finite number above zero.

    Args:
        trials: fields of the trials so far.
        gaps: Avg. Gap of each, in points; None where it failed.
    """
    best = position_of_smallest(gaps)
    if best is None:
        return None
    ranges = {name: values for name in trials[best] if len(values := _numbers(name, trials)) > 1}
    if not ranges:
        return None
    name = LEARNING_RATE if LEARNING_RATE in ranges else next(iter(ranges))
    values, value = ranges[name], trials[best][name]
    if value not in (values[0], values[-1]):
        return None
    inner = values[1] if value == values[0] else values[-2]
    following = float(f"{value * value / inner:.3g}")
    return {**trials[best], name: following} if 0 < following < math.inf and following not in values else None


def _numbers(name: str, trials: Sequence[Mapping[str, Any]]) -> list[float]:
    """The values of a field in order; empty unless all are fractions above zero."""
    values = [trial[name] for trial in trials]
    return sorted(set(values)) if all(isinstance(one, float) and one > 0 for one in values) else []


def is_search_of(choice: TuningChoice, variant: MethodVariant, beyond: int) -> bool:
    """Whether a choice has the trials of a variant, then at most `beyond` ones beyond the edge of its range."""
    given, first = choice.trials, len(choice.trials) - choice.beyond
    if given[:first] != tuple(map(fields_text, variant.candidates())) or choice.beyond > beyond:
        return False
    return all(
        given[count] == _text_or_none(trial_beyond_edge(choice.every_fields[:count], choice.gaps[:count]))
        for count in range(first, len(given))
    )


def _text_or_none(fields: Mapping[str, Any] | None) -> str | None:
    return None if fields is None else fields_text(fields)


def fields_text(fields: Mapping[str, Any]) -> str:
    """Fields as JSON text, the same for equal ones."""
    return json.dumps(encode(fields), sort_keys=True, allow_nan=False)


TuningKey = tuple[str, str, str]


def tuning_key(setup: Setup, scenario: Scenario, variant: MethodVariant) -> TuningKey:
    """What a choice is found by: the setup without its bit width, the request, the method variant."""
    return _place(setup), scenario.text, variant.name


def _place(where: Setup | TuningChoice) -> str:
    return f"{where.data} {where.architecture}"


def setup_digest(setup: Setup) -> str:
    """SHA-256 of a setup but for its bit width, which tuning has its own for."""
    return digest_of({"setup": dataclasses.replace(setup, bits=Setup.bits)})


def untuned_digest(variant: MethodVariant) -> str:
    """SHA-256 of the fields of a variant's method that no trial changes, defaults among them."""
    trial = variant.candidates()[0]
    fields = describe_method(variant.build(trial))["fields"]
    return digest_of({"fields": {name: value for name, value in fields.items() if name not in trial}})


@dataclass(frozen=True)
class TunedFields:
    """The choices of a suite."""

    choices: Mapping[TuningKey, TuningChoice]

    def fields(
        self, suite: Suite, setup: Setup, scenario: Scenario, variant: MethodVariant
    ) -> dict[str, Any]:
        """The tuned fields of a variant, or of the one that it follows.

        Raises:
            ObliqError: when every trial failed.
        """
        by_name = {one.name: one for one in suite.variants}
        tuned = variant if variant.follows is None else by_name[variant.follows]
        candidates = tuned.candidates()
        if len(candidates) == 1:
            return candidates[0]
        key = tuning_key(suite.setup_to_tune_in(setup), suite.scenario_to_tune_on(scenario), tuned)
        choice = self.choices[key]
        if choice.fields is None:
            raise ObliqError(f"every trial of {tuned.name!r} failed in tuning: {choice.error}")
        return choice.fields


def read_choices(file: Path, suite: Suite) -> dict[TuningKey, TuningChoice]:
    """The choices in a file with the setup, the methods and the trials that the suite has now; none without a file.

    Trials beyond the edge of a range may be missing, as the best of the others is a choice, too. A choice is left out
    where a trial failed for a reason that may have passed, such as a full disk. The samples are not compared here.

    Raises:
        ObliqError: when the file is not what `write_choices` wrote.
    """
    try:
        document = TUNING_DOCUMENT.read_if_present(file)
    except ObliqError as error:
        raise ObliqError(f"{error} (delete the file to tune again)") from error
    variants = {one.name: one for one in suite.variants}
    setups = {_place(one): setup_digest(one) for one in map(suite.setup_to_tune_in, suite.setups)}
    untuned = {name: untuned_digest(one) for name, one in variants.items() if one.follows is None}
    return {
        (_place(one), one.scenario, one.contender): one
        for one in (document.choices if document else ())
        if one.seed == suite.tuning_seed
        and one.bits == suite.tuning_bits
        and one.contender in variants
        and one.setup in ("", setups.get(_place(one)))
        and one.version in (0, variants[one.contender].method_class.version)
        and one.untuned in ("", untuned.get(one.contender))
        and one.is_final
        and is_search_of(one, variants[one.contender], suite.beyond_edges)
    }


def write_choices(file: Path, choices: Mapping[TuningKey, TuningChoice]) -> None:
    """Write the file.

    Raises:
        ObliqError: when it cannot be written.
    """
    document = TuningDocument(choices=tuple(choices[key] for key in sorted(choices)))
    TUNING_DOCUMENT.write(file, document, overwrite=True)
