"""The suites of the package."""

from pathlib import Path

import pytest

from obliq.benchmark.cache_keys import TaskKeys
from obliq.benchmark.plan import planned_rows, tuning_trials
from obliq.benchmark.schedule import plan_tasks
from obliq.benchmark.suites import SUITES, fashion_small_suite, fashion_suite, suite_named
from obliq.benchmark.tuning import TunedFields
from obliq.benchmark.variants import (
    BUDGETS,
    FOLLOWED,
    ablations,
    every_variant,
)
from obliq.errors import ObliqError
from obliq.methods import ProxyMatching, Retrain, available_methods
from tests.benchmark.toys import environment_of, untuned_suite
from tests.documentation.pages import DOCS, blocks


@pytest.mark.parametrize("name", SUITES)
def test_every_suite_can_be_made(name: str) -> None:
    found = suite_named(name)
    assert found.name == name
    assert all(variant.build({}) for variant in found.variants)


def test_every_registered_method_takes_part() -> None:
    kinds = {one.method_class for one in every_variant()}
    assert kinds == set(available_methods().values()) - {Retrain}
    assert {one.name for one in every_variant()} >= {"oeu entropy", "q-mul", "q-mul public code"}


def test_the_small_suite_is_part_of_the_large_one() -> None:
    small, large = fashion_small_suite(), fashion_suite()
    keys = TaskKeys(environment_of(large))
    tuned, reported = (
        [{task.key for task in plan_tasks(tasks(one), keys)} for one in (small, large)]
        for tasks in (
            lambda one: (
                task for tried in tuning_trials(one) for task in (*tried.audits, tried.retrained_audit)
            ),
            lambda one: (
                task for row in planned_rows(untuned_suite(one), TunedFields({})) for task in row.tasks
            ),
        )
    )
    assert tuned[0] <= tuned[1]
    assert reported[0] < reported[1]


def test_ablations_follow_and_change_something() -> None:
    followed, *others = ablations()
    assert followed.name == FOLLOWED
    assert others
    assert all(one.follows == FOLLOWED and one.fixed != followed.fixed for one in others)
    assert all(one.build({}) != followed.build({}) for one in others)


def test_the_example_of_a_suite_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = [text for kind, text in blocks((DOCS / "benchmark.md").read_text()) if kind == "python"]
    (tmp_path / "example_suites.py").write_text(example)
    monkeypatch.syspath_prepend(tmp_path)
    found = suite_named("example_suites:mine")
    assert [one.name for one in found.variants] == ["fine-tune", "calibrated, defaults"]
    assert [len(one.candidates()) for one in found.variants] == [3, 1]


def test_suites_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "suites_with_mistakes.py").write_text("def wrong():\n    return 3\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ObliqError, match="there is no suite 'smok'; expected smoke, "):
        suite_named("smok")
    with pytest.raises(ObliqError, match="returned int; expected a Suite"):
        suite_named("suites_with_mistakes:wrong")
    with pytest.raises(ObliqError, match="expected a function that returns a Suite"):
        suite_named("suites_with_mistakes:missing")
    assert suite_named("obliq.benchmark.suites:smoke_suite").name == "smoke"


@pytest.mark.parametrize("epochs", BUDGETS)
def test_a_budget_bounds_the_epochs_over_the_retain_set(epochs: int) -> None:
    suite = suite_named(f"fashion-budget-{epochs}")
    (setup,) = suite.setups
    retain = 9 * setup.limit // 10
    for variant in suite.variants:
        method = variant.build(variant.candidates()[0])
        spent = getattr(method, "epochs") * getattr(method, "rounds", 1)  # noqa: B009
        if isinstance(method, ProxyMatching):
            spent += method.proxies * method.proxy_recipe(retain).epochs
        assert spent == epochs, variant.name
