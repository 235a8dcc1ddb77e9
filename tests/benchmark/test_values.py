"""Suites, setups, requests, method variants and rows: accepted values and what follows from them."""

import dataclasses
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from obliq.benchmark.method_variant import MethodVariant
from obliq.benchmark.plan import TuningTrials, planned_rows, tuning_trials
from obliq.benchmark.rows import ROW_KINDS, column_names, from_csv, to_csv
from obliq.benchmark.scenario import Scenario
from obliq.benchmark.suite import Setup
from obliq.benchmark.suites import suite_named
from obliq.benchmark.tasks import UnlearnedTask
from obliq.benchmark.tuning import TunedFields, TuningChoice, fields_text
from obliq.benchmark.variants import with_default_fields
from obliq.data import Partition, Splits
from obliq.errors import DataError, ModelError, ObliqError
from obliq.methods import FineTune, Retrain
from obliq.run import Run
from tests.benchmark.synthetic_rows import result_row
from tests.benchmark.toys import Nowhere, Tunable, suite


def test_candidates_are_all_combinations_but_for_what_is_fixed() -> None:
    assert MethodVariant(name="a", method_class=Tunable).candidates() == [
        {"learning_rate": 0.3},
        {"learning_rate": 0.001},
    ]
    assert MethodVariant(name="a", method_class=Tunable, fixed={"learning_rate": 0.1}).candidates() == [{}]
    assert MethodVariant(name="a", method_class=Tunable, follows="b").candidates() == [{}]
    assert with_default_fields(MethodVariant(name="a", method_class=Tunable)).fixed == {"learning_rate": 0.01}


def test_fixed_fields_go_before_tuned_ones_and_augmentation_follows_the_recipe() -> None:
    method = MethodVariant(name="a", method_class=FineTune, fixed={"epochs": 7}).build(
        {"epochs": 1}, augment=True
    )
    assert method == FineTune(epochs=7, augment=True)


@pytest.mark.parametrize(
    "words", ["random=0%", "random=x", "class=", "subject=3", "subjects=0", "memorised=some", "ids=file", ""]
)
def test_requests_that_no_suite_can_make(words: str) -> None:
    with pytest.raises(DataError):
        Scenario(words)


def test_people_are_drawn_by_the_seed(parts: Partition) -> None:
    drawn = [Scenario("subjects=3").select_forget_set(parts, seed) for seed in range(5)]
    people = [set(parts.collection.subjects[ids].tolist()) for ids in drawn]
    assert {len(some) for some in people} == {3}
    assert len(set(map(frozenset, people))) > 1
    with pytest.raises(DataError, match="more than are to be forgotten"):
        Scenario("subjects=99").select_forget_set(parts, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../up"},
        {"seeds": ()},
        {"seeds": (1, 1)},
        {"seeds": (101,)},
        {"references": 3},
        {"scenarios": (Scenario("memorised=low"),)},
        {
            "variants": (
                MethodVariant(name="a", method_class=Tunable),
                MethodVariant(name="a", method_class=FineTune),
            )
        },
        {"variants": (MethodVariant(name="a", method_class=Tunable, follows="b"),)},
        {"variants": (MethodVariant(name="retrained", method_class=Tunable),)},
        {"variants": (MethodVariant(name="a", method_class=Retrain),)},
        {
            "setups": (
                Setup(data="digits", architecture="convnet"),
                Setup(data="digits", architecture="convnet"),
            )
        },
        {
            "setups": (
                Setup(data="digits", architecture="convnet"),
                Setup(data="digits", architecture="convnet", bits="W2A2", limit=100),
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
    """A method without a version."""

    def unlearn(self, model: nn.Module, splits: Splits, run: Run) -> nn.Module:
        return model


def test_variants_that_make_no_sense() -> None:
    with pytest.raises(ModelError, match="'rate'; expected fields of FineTune"):
        MethodVariant(name="a", method_class=FineTune, fixed={"rate": 1})
    with pytest.raises(
        ModelError, match=r"Unversioned has version None; expected `version: ClassVar\[int\] = 1`"
    ):
        MethodVariant(name="a", method_class=Unversioned)  # type: ignore[arg-type]
    with pytest.raises(ObliqError, match="toy: there is no method 'nobody'; expected tunable"):
        suite("digits").limited_to(("nobody",))
    with pytest.raises(DataError, match="expected W4A4"):
        Setup(data="digits", architecture="convnet", bits="w4a4")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"variants": ("fine-tune",)},
            "suite toy: variants is ('fine-tune',); expected a tuple of MethodVariant",
        ),
        ({"scenarios": "random=10%"}, "suite toy: scenarios is 'random=10%'; expected a tuple of Scenario"),
        ({"setups": ({"data": "digits"},)}, "expected a tuple of Setup"),
        ({"seeds": 1}, "suite toy: seeds is 1; expected a tuple of int"),
    ],
)
def test_a_suite_names_the_field_of_another_type(changes: dict[str, Any], words: str) -> None:
    given = suite("digits")
    for name, value in changes.items():
        object.__setattr__(given, name, value)  # which type checks of the tests would refuse before
    with pytest.raises(ObliqError, match=re.escape(words)):
        given.__post_init__()


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ({"name": 5}, "is called 5; expected a name in one line"),
        ({"name": "two\nlines"}, "expected a name in one line"),
        ({"fixed": {"epochs": -3}}, "epochs=-3; expected a number of at least 1"),
        ({"fixed": {"epochs": 2.5}}, r"method 'a': epochs=2.5, of type float"),
        ({"fixed": {"epochs": 1}, "tried": {"learning_rate": (0.1, -1.0)}}, "learning_rate=-1.0"),
        ({"method_class": Nowhere}, "has access 'nowhere'; expected one of 'retain set', 'statistics'"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_a_method_that_cannot_run_is_refused_before_any_task(variant: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        suite("digits", variants=(MethodVariant(**({"name": "a", "method_class": FineTune} | variant)),))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scenarios": (Scenario("class=0"), Scenario("class=0"))}, "expected each cell once"),
        ({"scenarios": (Scenario("class=猫"), Scenario("class=犬"))}, "names that differ in letters"),
        ({"references": 2.0}, "references=2.0, of type float"),
        ({"seeds": (2**70,)}, f"seed {2**70}; expected 0 to"),
        ({"seeds": (-1,)}, "seed -1; expected 0 to"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_a_suite_whose_results_would_be_lost_or_fail_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ObliqError, match=words):
        suite("digits", **changes)


def test_each_choice_of_methods_has_a_folder_of_its_own() -> None:
    variants = tuple(MethodVariant(name=name, method_class=FineTune) for name in ("a b", "a-b", "c", "d"))
    whole = suite("digits", variants=variants)
    chosen: list[tuple[str, ...]] = [("a b",), ("a-b",), ("c",), ("d",), ("c", "d")]
    names = [whole.limited_to(one).name for one in chosen]
    assert len(set(names)) == len(names)
    assert names[2:] == ["toy.c", "toy.d", "toy.c+d"]
    many = tuple(MethodVariant(name=f"a method {number}", method_class=FineTune) for number in range(20))
    long = dataclasses.replace(whole, name="n" * 60, variants=many)
    chosen = [tuple(one.name for one in many[: count + 1]) for count in range(20)]
    names = [long.limited_to(one).name for one in chosen]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) == 100


@pytest.mark.parametrize("tried", [(), (float("nan"),), (object(),)])
def test_values_to_try_are_a_tuple_that_a_file_can_hold(tried: Any) -> None:
    given = MethodVariant(name="a", method_class=FineTune)
    object.__setattr__(given, "tried", {"learning_rate": tried})
    with pytest.raises(ModelError, match="method 'a' tries learning_rate="):
        given.__post_init__()


def test_a_setup_has_a_network_that_exists() -> None:
    with pytest.raises(ModelError, match="there is no architecture 'resnet21'; did you mean 'resnet20'"):
        Setup(data="digits", architecture="resnet21")


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
        data=text,
        architecture=text,
        bits="W4A4",
        scenario="random=1%",
        seed=1,
        method=text,
        kind=kind,
        tow=number,
        changed_codes=count,
        fields=text,
        error="x" if kind == "failed" else "",
    )
    assert from_csv(to_csv([row, row])) == [row, row]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a,b\n",
        ",".join(column_names()) + "\n1,2\n",
        ",".join(column_names()) + "\n" + "x," * 29 + "x\n",
        ",".join(column_names()) + "\n" + "x" * 200_000 + "\n",
    ],
)
def test_other_csv_is_refused(text: str) -> None:
    with pytest.raises(ObliqError, match="expected"):
        from_csv(text)


def test_a_scenario_may_take_over_what_another_was_tuned_to() -> None:
    whole = suite_named("fashion")
    places = {one.problem.scenario.text for one in tuning_trials(whole)}
    assert places == {"random=10%", "class=0", "memorised=high"}
    assert whole.scenario_to_tune_on(Scenario("random=50%")) == Scenario("random=10%")
    with pytest.raises(ObliqError, match="tunes 'random=30%' on 'random=20%'"):
        dataclasses.replace(whole, tuned_on={"random=30%": "random=20%"})


def _without_reported(trials: TuningTrials) -> TuningTrials:
    experiment = dataclasses.replace(trials.problem.experiment, apart_from=())
    return dataclasses.replace(trials, problem=dataclasses.replace(trials.problem, experiment=experiment))


def test_settings_may_be_tuned_in_a_smaller_setup() -> None:
    short, small = suite_named("cifar10-short"), suite_named("cifar10-small")
    tried = list(tuning_trials(short))
    # Test parts of their own are set aside only where the data have no official one, which CIFAR-10 has.
    assert list(map(_without_reported, tried)) == list(map(_without_reported, tuning_trials(small)))
    smallest = TunedFields(
        {
            one.key: TuningChoice(
                data="cifar10",
                architecture="resnet20",
                bits="W4A4",
                scenario="random=10%",
                seed=101,
                contender=one.variant.name,
                trials=tuple(map(fields_text, one.variant.candidates())),
                gaps=(1.0,) * len(one.methods),
                chosen=0,
            )
            for one in tried
        }
    )
    rows = [row for row in planned_rows(short, smallest) if isinstance(row.network, UnlearnedTask)]
    assert {row.name for row in rows} == {one.name for one in short.variants}
    assert {row.problem.experiment.setup.architecture for row in rows} == {"resnet18"}
