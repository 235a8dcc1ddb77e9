"""The cache: keys, entries, the lock; and the choice among trials."""

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obliq.benchmark.cache import CacheError, ResultCache, digest_of
from obliq.benchmark.cache_keys import Environment, TaskKeys, describe_method
from obliq.benchmark.method_variant import MethodVariant
from obliq.benchmark.plan import PlannedRow, planned_rows
from obliq.benchmark.scenario import Scenario
from obliq.benchmark.suite import Setup
from obliq.benchmark.suites import suite_named
from obliq.benchmark.tasks import (
    AuditTask,
    Experiment,
    OriginalTask,
    Problem,
    RetrainedTask,
    UnlearnedTask,
)
from obliq.benchmark.tuning import TunedFields, position_of_smallest
from obliq.benchmark.worker_state import WorkerState
from obliq.errors import ModelError, ObliqError
from obliq.io.lock import locked
from obliq.io.strict_json import render_json
from obliq.methods import BUILT_IN, FineTune, Masked, Method, RandomLabel, available_methods
from tests.benchmark.toys import Tunable, environment_of, suite, untuned_suite

INPUTS = {"seed": 1}


def filled(folder: Path) -> ResultCache:
    cache = ResultCache(folder)
    cache.put(INPUTS, {"accuracy": 0.5}, lambda draft: (draft / "data").write_bytes(b"content"))
    return cache


def test_what_is_put_is_found(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    entry = cache.find(digest_of(INPUTS))
    assert entry is not None
    assert (entry.values, entry.read("data")) == ({"accuracy": 0.5}, b"content")
    assert cache.find(digest_of({"seed": 2})) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "data").write_bytes(b"CONTENT"),
        lambda folder: (folder / "data").unlink(),
        lambda folder: (folder / "entry.json").write_text("{}"),
        lambda folder: (folder / "entry.json").unlink(),
        lambda folder: _replace(folder / "entry.json", "0.5", "0.6"),
        lambda folder: _replace(folder / "entry.json", '"seed": 1', '"seed": 2'),
    ],
    ids=["other file", "no file", "empty", "no entry", "other number", "made by something else"],
)
def test_what_does_not_agree_with_its_digest_is_refused(
    damage: Callable[[Path], object], tmp_path: Path
) -> None:
    cache = filled(tmp_path)
    damage(cache.entry_folder(digest_of(INPUTS)))
    with pytest.raises(CacheError):
        cache.find(digest_of(INPUTS)).read("data")  # type: ignore[union-attr]


def test_keys_cover_the_module_of_a_users_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keyed_network.py"
    monkeypatch.syspath_prepend(tmp_path)
    setup = Setup(data="digits", architecture="keyed_network:build")
    task = OriginalTask(experiment=Experiment(setup=setup, seed=1))
    found = []
    for width in (8, 64):
        file.write_text(f"WIDTH = {width}\ndef build():\n    raise NotImplementedError\n")
        found.append(TaskKeys(Environment(data={"digits": "0" * 64}, torch="2.0")).of(task))
    assert found[0] != found[1]
    file.unlink()
    with pytest.raises(ModelError, match="expected a function in a Python file that builds a network"):
        TaskKeys(Environment(data={"digits": "0" * 64}, torch="2.0")).of(task)


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_half_written_entries_are_swept_and_whole_ones_stay(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    draft = cache.entry_folder(digest_of(INPUTS)).with_name(".draft-of-a-dead-process")
    draft.mkdir()
    cache.remove_drafts()
    assert not draft.exists()
    assert cache.find(digest_of(INPUTS)) is not None


HOLD = "import sys, time; from pathlib import Path; from obliq.io.lock import locked\n" + (
    "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
)


def test_one_run_at_a_time_and_the_dead_do_not_count(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(ObliqError, match=f"in use by process {process.pid} "), locked(tmp_path):
        pass
    process.kill()
    process.communicate()
    with locked(tmp_path):  # nobody had to delete anything
        pass


def _row(variant: MethodVariant, **changes: object) -> tuple[TaskKeys, PlannedRow]:
    small = suite("digits", variant, **changes)
    *_, last = planned_rows(small, TunedFields({}))
    return TaskKeys(environment_of(small)), last


def test_a_changed_field_seed_or_bit_width_is_another_key() -> None:
    def key(rate: float, **changes: object) -> str:
        keys, row = _row(
            MethodVariant(name="a", method_class=Tunable, fixed={"learning_rate": rate}), **changes
        )
        return keys.of(row.tasks[0])

    assert key(0.1) == key(0.1)
    assert len({key(0.1), key(0.2), key(0.1, seeds=(2,)), key(0.1, references=2)}) == 4


def _keys(kind: type[Method] = FineTune, **changes: Any) -> dict[str, str]:
    """The key of a task of each kind, and of each audit, where references choose who is forgotten."""
    keys = TaskKeys(dataclasses.replace(Environment(data={"digits": "0" * 64}, torch="2.0"), **changes))
    experiment = Experiment(setup=Setup(data="digits", architecture="convnet"), seed=1)
    problem = Problem(experiment=experiment, scenario=Scenario("memorised=high"), references=2)
    networks = {
        "original": problem.original,
        "retrained": RetrainedTask(problem=problem),
        "unlearned": UnlearnedTask(problem=problem, method=kind()),
    }
    tasks = {f"audit of {name}": AuditTask(problem=problem, network=one) for name, one in networks.items()}
    return {
        name: keys.of(task)
        for name, task in {**networks, **tasks, "reference": problem.selection_needs[0]}.items()
    }


def _changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name, key in before.items() if after[name] != key}


EVERY = set(_keys())
CHOSEN = EVERY - {"original", "reference"}


def test_other_data_another_torch_or_device_are_other_keys() -> None:
    changed: list[dict[str, object]] = [
        {"data": {"digits": "1" * 64}},
        {"torch": "2.1"},
        {"device": "cuda"},
        {"autocast": True},
        {"compiled": True},
    ]
    assert all(_changed(_keys(), _keys(**one)) == EVERY for one in changed)


def test_a_worker_computes_as_the_keys_state(tmp_path: Path) -> None:
    environment = Environment(data={}, torch="2.1", autocast=True, compiled=True)
    run = WorkerState(ResultCache(tmp_path), TaskKeys(environment)).run(3)
    assert (run.seed, run.device.type, run.autocast, run.compile) == (3, "cpu", True, True)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("obliq.training.loop.Recipe.version", EVERY),
        ("obliq.data.PartitionRule.version", EVERY),
        ("obliq.benchmark.cache_keys.TASKS_VERSION", EVERY),
        ("obliq.benchmark.cache_keys.REFERENCES_VERSION", EVERY - {"original"}),
        ("obliq.benchmark.scenario.Scenario.version", CHOSEN),
        ("obliq.benchmark.cache_keys.MEMORISATION_VERSION", CHOSEN),
        (
            "obliq.benchmark.cache_keys.MEASUREMENT_VERSION",
            {name for name in EVERY if name.startswith("audit")},
        ),
        ("obliq.methods.Retrain.version", {"retrained", "audit of retrained"}),
        ("obliq.methods.FineTune.version", {"unlearned", "audit of unlearned"}),
    ],
)
def test_a_raised_version_is_another_key_where_the_part_takes_part(
    version: str, expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _keys()
    monkeypatch.setattr(version, 2)
    assert _changed(before, _keys()) == expected


def test_a_changed_default_is_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = _keys()
    changed: Any = dataclasses.make_dataclass(
        "FineTune", [("momentum", float, 0.8)], bases=(FineTune,), frozen=True, kw_only=True
    )
    monkeypatch.setitem(BUILT_IN, "fine-tune", changed)
    assert _changed(before, _keys(changed)) == {"unlearned", "audit of unlearned"}


def test_a_moved_and_renamed_method_has_the_same_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    before = _keys()
    moved = type("Renamed", (FineTune,), {"__module__": "elsewhere", "__doc__": "Other words."})
    monkeypatch.setitem(BUILT_IN, "fine-tune", moved)
    assert _keys(moved) == before


def test_keys_hold_no_module_path_and_no_class_name() -> None:
    every = untuned_suite(suite_named("fashion-small"))
    keys = TaskKeys(environment_of(every))
    names = {kind.__name__ for kind in available_methods().values()}
    for row in planned_rows(every, TunedFields({})):
        for task in (row.network, *row.tasks):
            assert task is not None
            inputs = render_json(keys.inputs(task))
            assert "obliq" not in inputs
            assert not [name for name in names if f'"{name}"' in inputs]


def test_the_method_within_a_method_counts() -> None:
    inner = [describe_method(Masked(method=one)) for one in (FineTune(), FineTune(epochs=1), RandomLabel())]
    assert len({digest_of(one) for one in inner}) == 3
    assert inner[0]["fields"]["method"]["name"] == "fine-tune"
    assert inner[0]["name"] == "obliq.methods.masked:Masked"  # not registered, so nothing else names it


@given(st.lists(st.none() | st.floats(0, 100), max_size=8))
def test_the_first_of_the_smallest_gaps_is_chosen(gaps: list[float | None]) -> None:
    best = position_of_smallest(gaps)
    numbers = [gap for gap in gaps if gap is not None]
    if best is None:
        assert numbers == []
    else:
        assert gaps[best] == min(numbers)
        assert gaps[best] not in gaps[:best]
