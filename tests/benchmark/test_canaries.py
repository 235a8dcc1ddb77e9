"""Code that computes something else is noticed, so that its version is raised; see `tests.benchmark.canaries`."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from obliq.methods import FineTune, available_methods
from tests.benchmark.canaries import Canary, canaries, complaint, record, recorded

CANARIES, RECORDED = canaries(), recorded()


@pytest.mark.parametrize("name", CANARIES)
def test_every_part_computes_what_its_version_says(name: str) -> None:
    assert not complaint(name, CANARIES[name], RECORDED.get(name))


def test_every_method_has_a_canary_and_nothing_is_left_over() -> None:
    parts = {part for canary in CANARIES.values() for part in canary.versions}
    assert set(available_methods()) <= parts
    assert set(RECORDED) == set(CANARIES)


def _half(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda peak, *others: function(peak / 2, *others)


def _nothing(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *given, **named: None


def _off_by_one(number: int) -> int:
    return number + 1


@pytest.mark.parametrize(
    ("path", "change", "noticed"),
    [
        ("obliq.training.loop.cosine_schedule", _half, ("training", "retrain", "references", "tasks")),
        ("obliq.training.descent.cosine_schedule", _half, ("fine-tune", "salun", "masked")),
        ("obliq.gradients.projection.project_", _nothing, ("oeu entropy", "projection always")),
        ("obliq.benchmark.execute.RETRAINED_AGAIN_SEED", _off_by_one, ("tasks",)),
        ("obliq.auditing.reference_models.NETWORKS", _off_by_one, ("references", "tasks")),
        ("obliq.auditing.reference_models.HALVES", _off_by_one, ("references", "tasks")),
    ],
    ids=["schedule", "schedule of methods", "projection", "seed", "seed of references", "seed of halves"],
)
def test_a_changed_formula_or_seed_is_noticed(
    path: str, change: Callable[[Any], Any], noticed: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    module, _, name = path.rpartition(".")
    monkeypatch.setattr(path, change(getattr(importlib.import_module(module), name)))
    for one in noticed:
        assert "raise the version" in complaint(one, CANARIES[one], RECORDED[one])


def test_a_raised_version_asks_for_new_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FineTune, "version", 2)
    said = complaint("fine-tune", canaries()["fine-tune"], RECORDED["fine-tune"])
    assert "nothing is recorded under the versions fine-tune 2, training" in said


def test_numbers_are_overwritten_under_another_version_only(tmp_path: Path) -> None:
    file = tmp_path / "canaries.json"

    def written(version: int, *numbers: float) -> tuple[int, list[float]]:
        wrong = record(file, {"one": Canary({"part": version}, lambda: [*numbers])})
        return len(wrong), recorded(file)["one"].numbers

    assert written(1, 1.0, 2.0) == (0, [1.0, 2.0])
    assert written(1, 1.0, 2.00001) == (0, [1.0, 2.0])
    assert written(1, 1.0, 2.5) == (1, [1.0, 2.0])
    assert written(1, 1.0) == (1, [1.0, 2.0])
    assert written(2, 1.0, 2.5) == (0, [1.0, 2.5])


def test_other_parts_are_not_recomputed(tmp_path: Path) -> None:
    file = tmp_path / "canaries.json"
    record(file, {"old": Canary({"old part": 1}, lambda: [1.0])})

    def refuse() -> list[float]:
        raise AssertionError("recomputed")

    both = {"old": Canary({"old part": 1}, refuse), "new": Canary({"new part": 1}, lambda: [2.0])}
    assert record(file, both, {"new part"}) == []
    assert {name: one.numbers for name, one in recorded(file).items()} == {"old": [1.0], "new": [2.0]}
