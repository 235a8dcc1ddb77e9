"""Trials beyond the edge of a range."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from obliq.benchmark.method_variant import MethodVariant
from obliq.benchmark.plan import tuning_trials
from obliq.benchmark.scenario import Scenario
from obliq.benchmark.suite import Setup, Suite
from obliq.benchmark.suites import suite_named
from obliq.benchmark.tuning import (
    FailedTrial,
    TuningChoice,
    fields_text,
    is_search_of,
    position_of_smallest,
    read_choices,
    setup_digest,
    trial_beyond_edge,
    untuned_digest,
    write_choices,
)
from obliq.errors import ObliqError
from obliq.methods import FineTune, GradientDifference
from obliq.training.loop import Recipe

VARIANT = MethodVariant(name="fine-tune", method_class=FineTune, tried={"learning_rate": (0.1, 0.2, 0.4)})
TRIALS: list[dict[str, Any]] = VARIANT.candidates()


def choice_after(beyond: int, gap: Callable[[float], float]) -> TuningChoice:
    """The choice where the gap is a function of the learning rate."""
    trials = list(TRIALS)
    for _ in range(beyond):
        following = trial_beyond_edge(trials, [gap(one["learning_rate"]) for one in trials])
        assert following is not None
        trials.append(following)
    gaps = tuple(gap(one["learning_rate"]) for one in trials)
    return TuningChoice(
        data="digits",
        architecture="convnet",
        bits="W4A4",
        scenario="random=10%",
        contender=VARIANT.name,
        seed=101,
        trials=tuple(map(fields_text, trials)),
        gaps=gaps,
        chosen=position_of_smallest(gaps),
        beyond=beyond,
    )


@pytest.mark.parametrize(
    ("gaps", "following"),
    [([3.0, 2.0, 1.0], 0.8), ([1.0, 2.0, 3.0], 0.05), ([2.0, 1.0, 3.0], None), ([None, 1.0, 2.0], None)],
)
def test_the_next_trial_goes_on_at_the_ratio_of_the_outermost_values(
    gaps: list[float | None], following: float | None
) -> None:
    found = trial_beyond_edge(TRIALS, gaps)
    assert found == (None if following is None else {"learning_rate": following})


def test_other_fields_keep_their_best_values_and_learning_rates_come_first() -> None:
    trials = [{"share": share, "learning_rate": rate} for share in (0.3, 0.6) for rate in (0.01, 0.1)]
    assert trial_beyond_edge(trials, [4, 3, 2, 1]) == {"share": 0.6, "learning_rate": 1.0}


def test_without_a_learning_rate_the_first_numbers_are_extended_and_words_never() -> None:
    trials = [{"order": order, "strength": size} for order in ("mixed", "sequential") for size in (1.0, 3.0)]
    assert trial_beyond_edge(trials, [4, 1, 3, 2]) == {"order": "mixed", "strength": 9.0}
    assert trial_beyond_edge([{"order": "mixed"}, {"order": "sequential"}], [2, 1]) is None


def test_a_minimum_is_surrounded_or_the_trials_are_used_up() -> None:
    choice = choice_after(2, lambda rate: abs(rate - 0.8))
    assert [one["learning_rate"] for one in choice.every_fields] == [0.1, 0.2, 0.4, 0.8, 1.6]
    assert choice.fields == {"learning_rate": 0.8}
    assert trial_beyond_edge(choice.every_fields, choice.gaps) is None


def test_a_choice_counts_only_with_the_trials_that_would_be_run_now() -> None:
    choice = choice_after(2, lambda rate: 1 / rate)
    assert is_search_of(choice, VARIANT, beyond=3)
    assert is_search_of(choice, VARIANT, beyond=2)
    assert not is_search_of(choice, VARIANT, beyond=1)
    other = dataclasses.replace(choice, trials=(*choice.trials[:-1], fields_text({"learning_rate": 9.0})))
    assert not is_search_of(other, VARIANT, beyond=3)
    fewer = MethodVariant(name="fine-tune", method_class=FineTune, tried={"learning_rate": (0.1, 0.2)})
    assert not is_search_of(choice, fewer, beyond=3)


@pytest.mark.parametrize(
    "rates", [(1e300, 1e10), (1e-200, 1e-10), (1.0, 0.9995)], ids=["infinite", "zero", "tried before"]
)
def test_a_value_that_is_no_new_number_ends_a_range(rates: tuple[float, float]) -> None:
    assert trial_beyond_edge([{"learning_rate": rate} for rate in rates], [1, 2]) is None


def test_fields_that_are_lists_are_never_extended() -> None:
    trials = [{"layers": [1, 2], "learning_rate": 0.1}, {"layers": [3, 4], "learning_rate": 0.2}]
    assert trial_beyond_edge(trials, [2, 1]) == {"layers": [3, 4], "learning_rate": 0.4}


def test_a_value_that_the_method_refuses_ends_a_range() -> None:
    variant = MethodVariant(
        name="fine-tune", method_class=GradientDifference, tried={"retain_weight": (0.5, 0.9)}
    )
    trials = dataclasses.replace(next(tuning_trials(suite_named("watch"))), variant=variant)
    given = tuple(map(fields_text, variant.candidates()))
    choice = dataclasses.replace(choice_after(0, lambda rate: rate), trials=given, gaps=(2.0, 1.0), chosen=1)
    assert trial_beyond_edge(choice.every_fields, choice.gaps) == {"retain_weight": 1.62}
    assert trials.after(choice, most=3) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"beyond": -1}, "-1 of 4 trials beyond the edge; expected from 0"),
        ({"beyond": 4}, "4 of 4 trials beyond the edge; expected from 0"),
        ({"gaps": (1.0, 2.0, -1.0, 3.0), "chosen": 2}, "expected none below 0"),
        (
            {"failures": (FailedTrial(trial=3, error="no memory", methods_own=False),)},
            r"reasons of trials \[3\]; expected those without a gap, \[\]",
        ),
        ({"trials": ("[", "{}", "{}", "{}")}, "not readable as JSON"),
        ({"trials": ("3", "{}", "{}", "{}")}, "expected a JSON object"),
    ],
)
def test_a_choice_that_no_tuning_wrote_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ObliqError, match=words):
        dataclasses.replace(choice_after(1, lambda rate: 1 / rate), **changes)


def test_a_choice_counts_for_the_setup_that_it_was_tuned_in(tmp_path: Path) -> None:
    setup = Setup(data="digits", architecture="convnet", recipe=Recipe(epochs=5))
    suite = Suite(name="toy", setups=(setup,), scenarios=(Scenario("random=10%"),), variants=(VARIANT,))
    longer = dataclasses.replace(suite, setups=(dataclasses.replace(setup, recipe=Recipe(epochs=50)),))
    wider = dataclasses.replace(suite, setups=(dataclasses.replace(setup, bits="W8A8"),))
    file = tmp_path / "tuned.json"
    for digest, counts in ((setup_digest(setup), (1, 0, 1)), ("", (1, 1, 1))):
        choice = dataclasses.replace(choice_after(0, lambda rate: rate), setup=digest)
        write_choices(file, {("digits convnet", choice.scenario, choice.contender): choice})
        assert tuple(len(read_choices(file, one)) for one in (suite, longer, wider)) == counts


def test_a_choice_counts_for_the_version_that_was_tuned(tmp_path: Path) -> None:
    setup = Setup(data="digits", architecture="convnet")
    suite = Suite(name="toy", setups=(setup,), scenarios=(Scenario("random=10%"),), variants=(VARIANT,))
    file = tmp_path / "tuned.json"
    for version, counts in ((FineTune.version, 1), (FineTune.version + 1, 0), (0, 1)):
        choice = dataclasses.replace(choice_after(0, lambda rate: rate), version=version)
        write_choices(file, {("digits convnet", choice.scenario, choice.contender): choice})
        assert len(read_choices(file, suite)) == counts


def test_a_choice_counts_for_the_other_fields_that_it_was_tuned_with(tmp_path: Path) -> None:
    setup = Setup(data="digits", architecture="convnet")
    suite = Suite(name="toy", setups=(setup,), scenarios=(Scenario("random=10%"),), variants=(VARIANT,))
    longer = dataclasses.replace(VARIANT, fixed={**VARIANT.fixed, "epochs": 9})
    changed = dataclasses.replace(suite, variants=(longer,))
    file = tmp_path / "tuned.json"
    for digest, counts in ((untuned_digest(VARIANT), (1, 0)), (untuned_digest(longer), (0, 1)), ("", (1, 1))):
        choice = dataclasses.replace(choice_after(0, lambda rate: rate), untuned=digest)
        write_choices(file, {("digits convnet", choice.scenario, choice.contender): choice})
        assert (len(read_choices(file, suite)), len(read_choices(file, changed))) == counts
