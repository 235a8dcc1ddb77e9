"""Suites, worlds, requests and contenders: what they accept and what they come to."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from obliq.benchmark.cache_keys import Keys, Origins
from obliq.benchmark.entrants import Contender, every_contender, untuned
from obliq.benchmark.plan import lines, trials
from obliq.benchmark.rows import ROW_KINDS, column_names, from_csv, to_csv
from obliq.benchmark.scenario import Scenario
from obliq.benchmark.schedule import plan_tasks
from obliq.benchmark.suite import Suite, World, spread
from obliq.benchmark.suites import FOLLOWED, SUITES, ablations, fashion, fashion_small, suite_named
from obliq.benchmark.tasks import Unlearned
from obliq.benchmark.tuning import Choice, Tuned, text_of
from obliq.data import Partition, Splits
from obliq.errors import DataError, ModelError, ObliqError
from obliq.methods import FineTune, Retrain, available_methods
from obliq.run import Run
from tests.benchmark.synthetic_rows import result_row
from tests.benchmark.toys import Tunable, suite


def origins(of: Suite) -> Origins:
    """As if every data set were there."""
    return Origins(data={world.data: "0" * 64 for world in of.worlds}, torch="2.0")


@pytest.mark.parametrize("name", SUITES)
def test_every_suite_can_be_made(name: str) -> None:
    made = suite_named(name)
    assert made.name == name
    assert all(contender.method({}) for contender in made.contenders)


def test_every_registered_method_takes_part() -> None:
    kinds = {one.kind for one in every_contender()}
    assert kinds == set(available_methods().values()) - {Retrain}
    assert {one.name for one in every_contender()} >= {"oeu entropy", "q-mul", "q-mul public code"}


def test_the_small_suite_is_part_of_the_large_one() -> None:
    small, large = fashion_small(), fashion()
    keys = Keys(origins(large))
    tuned, reported = (
        [{task.key for task in plan_tasks(tasks(one), keys)} for one in (small, large)]
        for tasks in (
            lambda one: (task for tried in trials(one) for task in (*tried.measured, tried.reference)),
            lambda one: (task for line in lines(untuned_suite(one), Tuned({})) for task in line.tasks),
        )
    )
    assert tuned[0] <= tuned[1]
    assert reported[0] < reported[1]


def untuned_suite(one: Suite) -> Suite:
    """The same with nothing to choose."""
    return dataclasses.replace(one, contenders=tuple(map(untuned, one.contenders)))


def test_ablations_follow_and_change_something() -> None:
    followed, *others = ablations()
    assert followed.name == FOLLOWED
    assert others
    assert all(one.follows == FOLLOWED and one.fixed != followed.fixed for one in others)
    assert all(one.method({}) != followed.method({}) for one in others)


def test_trials_are_all_combinations_but_for_what_is_fixed() -> None:
    assert Contender(name="a", kind=Tunable).trials() == [{"learning_rate": 0.3}, {"learning_rate": 0.001}]
    assert Contender(name="a", kind=Tunable, fixed={"learning_rate": 0.1}).trials() == [{}]
    assert Contender(name="a", kind=Tunable, follows="b").trials() == [{}]
    assert untuned(Contender(name="a", kind=Tunable)).fixed == {"learning_rate": 0.01}


def test_fixed_fields_go_before_tuned_ones_and_augmentation_follows_the_recipe() -> None:
    method = Contender(name="a", kind=FineTune, fixed={"epochs": 7}).method({"epochs": 1}, augment=True)
    assert method == FineTune(epochs=7, augment=True)


@pytest.mark.parametrize(
    "words", ["random=0%", "random=x", "class=", "subject=3", "subjects=0", "memorised=some", "ids=file", ""]
)
def test_requests_that_no_suite_can_make(words: str) -> None:
    with pytest.raises(DataError):
        Scenario(words)


def test_people_are_drawn_by_the_seed(parts: Partition) -> None:
    drawn = [Scenario("subjects=3").forget(parts, seed) for seed in range(5)]
    people = [set(parts.collection.subjects[ids].tolist()) for ids in drawn]
    assert {len(some) for some in people} == {3}
    assert len(set(map(frozenset, people))) > 1
    with pytest.raises(DataError, match="more than are to be forgotten"):
        Scenario("subjects=99").forget(parts, 1)


def test_a_limited_test_part_is_spread_evenly(parts: Partition) -> None:
    some = spread(parts.test, 10)
    assert len(some) == 10
    places = torch.searchsorted(parts.test.indices, some.indices)
    assert int(places.diff().max() - places.diff().min()) <= 1
    assert spread(parts.test, 0) is parts.test
    assert spread(parts.test, 10**6) is parts.test


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../up"},
        {"seeds": ()},
        {"seeds": (1, 1)},
        {"seeds": (101,)},
        {"references": 3},
        {"scenarios": (Scenario("memorised=low"),)},
        {"contenders": (Contender(name="a", kind=Tunable), Contender(name="a", kind=FineTune))},
        {"contenders": (Contender(name="a", kind=Tunable, follows="b"),)},
        {"contenders": (Contender(name="retrained", kind=Tunable),)},
        {"contenders": (Contender(name="a", kind=Retrain),)},
        {
            "worlds": (
                World(data="digits", architecture="convnet"),
                World(data="digits", architecture="convnet"),
            )
        },
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_suites_that_make_no_sense(changes: dict[str, Any]) -> None:
    with pytest.raises(ObliqError, match="expected"):
        suite("digits", **changes)


@dataclasses.dataclass(frozen=True)
class Unversioned:
    """A method that does not say which version of itself it is."""

    def unlearn(self, model: nn.Module, splits: Splits, run: Run) -> nn.Module:
        return model


def test_contenders_that_make_no_sense() -> None:
    with pytest.raises(ModelError, match="'rate'; expected fields of FineTune"):
        Contender(name="a", kind=FineTune, fixed={"rate": 1})
    with pytest.raises(
        ModelError, match=r"Unversioned has version None; expected `version: ClassVar\[int\] = 1`"
    ):
        Contender(name="a", kind=Unversioned)  # type: ignore[arg-type]
    with pytest.raises(ObliqError, match="toy has no contender 'nobody'; expected tunable"):
        suite("digits").limited_to(("nobody",))
    with pytest.raises(DataError, match="expected W4A4"):
        World(data="digits", architecture="convnet", bits="w4a4")


def test_suites_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_suites.py").write_text("def wrong():\n    return 3\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ObliqError, match="there is no suite 'smok'; expected smoke, "):
        suite_named("smok")
    with pytest.raises(ObliqError, match="returned int; expected a Suite"):
        suite_named("my_suites:wrong")
    with pytest.raises(ObliqError, match="expected a function that returns a Suite"):
        suite_named("my_suites:missing")
    assert suite_named("obliq.benchmark.suites:smoke").name == "smoke"


PLACE = {
    "data": "digits",
    "architecture": "convnet",
    "bits": "W4A4",
    "scenario": "random=1%",
    "seed": 1,
    "method": "a",
    "kind": "unlearned",
}
NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"))


@given(TEXTS, st.sampled_from(ROW_KINDS), NUMBERS, st.none() | st.integers(0, 2**62))
def test_rows_survive_their_csv(text: str, kind: Any, number: float | None, count: int | None) -> None:
    row = result_row(
        data=text, architecture=text, bits="W4A4", scenario="random=1%", seed=1, method=text, kind=kind, tow=number,
        changed_codes=count, fields=text, error="x" if kind == "failed" else "",
    )  # fmt: skip
    assert from_csv(to_csv([row, row])) == [row, row]


@pytest.mark.parametrize(
    "text",
    ["", "a,b\n", ",".join(column_names()) + "\n1,2\n", ",".join(column_names()) + "\n" + "x," * 29 + "x\n"],
)
def test_other_csv_is_refused(text: str) -> None:
    with pytest.raises(ObliqError, match="expected"):
        from_csv(text)


def test_a_scenario_may_take_over_what_another_was_tuned_to() -> None:
    whole = suite_named("fashion")
    places = {one.case.scenario.words for one in trials(whole)}
    assert places == {"random=10%", "class=0", "memorised=high"}
    assert whole.tuning_scenario(Scenario("random=50%")) == Scenario("random=10%")
    with pytest.raises(ObliqError, match="tunes 'random=30%' on 'random=20%'"):
        dataclasses.replace(whole, tuned_on={"random=30%": "random=20%"})


def test_settings_may_be_tuned_in_a_smaller_world() -> None:
    short, small = suite_named("cifar10-short"), suite_named("cifar10-small")
    tried = list(trials(short))
    assert tried == list(trials(small))
    smallest = Tuned(
        {
            one.place: Choice(
                data="cifar10", architecture="resnet20", bits="W4A4", scenario="random=10%", seed=101,
                contender=one.contender.name, trials=tuple(map(text_of, one.contender.trials())),
                gaps=(1.0,) * len(one.methods), chosen=0,
            )
            for one in tried
        }
    )  # fmt: skip
    made = [line for line in lines(short, smallest) if isinstance(line.of, Unlearned)]
    assert {line.name for line in made} == {one.name for one in short.contenders}
    assert {line.case.ground.world.architecture for line in made} == {"resnet18"}
