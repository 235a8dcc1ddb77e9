"""A choice of tuning counts for the samples that it was tuned on; other samples are tuned on again."""

import dataclasses
import json
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from obliq.benchmark.cache import ResultCache
from obliq.benchmark.cache_keys import TaskKeys, load_environment
from obliq.benchmark.plan import TuningTrials, tuning_trials
from obliq.benchmark.run import BenchmarkResult, run_suite
from obliq.benchmark.suite import Suite
from obliq.benchmark.tuning import TuningChoice, fields_text, write_choices
from obliq.benchmark.tuning_run import TuningRun
from obliq.benchmark.tuning_samples import samples_digest
from tests.benchmark.conftest import Counted
from tests.benchmark.toys import options, people, suite


def tuning_of(planned: Suite, folder: Path) -> tuple[TuningRun, TuningTrials]:
    """The tuning of a suite on its data as they are now, and its first trials."""
    environment = load_environment([planned.setups[0].data], None, "cpu", autocast=False)
    cache, console = ResultCache(folder / "cache"), Console(file=StringIO())
    run = TuningRun(planned, folder / "tuned.json", cache, TaskKeys(environment), console, None)
    return run, next(tuning_trials(planned))


def write_choice(planned: Suite, folder: Path, **changes: Any) -> None:
    """The choice of an earlier run."""
    run, trials = tuning_of(planned, folder)
    setup = trials.problem.experiment.setup
    choice = TuningChoice(
        data=setup.data,
        architecture=setup.architecture,
        bits=setup.bits,
        scenario=trials.problem.scenario.text,
        contender=trials.variant.name,
        seed=planned.tuning_seed,
        trials=tuple(map(fields_text, trials.fields)),
        gaps=(1.0, 2.0),
        chosen=0,
        samples=samples_digest(trials.problem.experiment, run.keys.environment),
    )
    write_choices(run.file, {trials.key: dataclasses.replace(choice, **changes)})


def kept(planned: Suite, folder: Path) -> int:
    """How many choices a later run keeps."""
    return len(tuning_of(planned, folder)[0].kept_choices())


def with_official_test(folder: Path) -> str:
    """Data with test samples from a file of their own."""
    generator = np.random.default_rng(3)
    for name, count in (("own", 120), ("tests", 30)):
        inputs = generator.normal(size=(count, 1, 6, 6)).astype(np.float32)
        np.savez(folder / f"{name}.npz", x=inputs, y=np.arange(count) % 3)
    return f"npz:{folder / 'own.npz'},test=npz:{folder / 'tests.npz'}"


def test_more_seeds_are_tuned_for_again_where_their_test_parts_are_drawn(data: str, tmp_path: Path) -> None:
    write_choice(suite(data, seeds=(1, 2)), tmp_path)
    assert kept(suite(data, seeds=(1, 2)), tmp_path) == 1
    assert kept(suite(data, seeds=(2, 1)), tmp_path) == 1  # the same test parts are set aside
    assert kept(suite(data, seeds=(1, 2, 3)), tmp_path) == 0


def test_more_seeds_leave_a_choice_as_it_is_where_the_test_part_is_official(tmp_path: Path) -> None:
    data = with_official_test(tmp_path)
    write_choice(suite(data, seeds=(1,)), tmp_path)
    assert kept(suite(data, seeds=(1, 2, 3)), tmp_path) == 1


def test_another_test_part_of_the_same_data_is_tuned_for_again(data: str, tmp_path: Path) -> None:
    (setup,) = suite(data).setups
    wider = dataclasses.replace(setup, architecture="strided-convnet", test=0.3)
    write_choice(suite(data), tmp_path)
    assert kept(suite(data, setups=(setup, wider)), tmp_path) == 0


@pytest.mark.parametrize("official", [False, True])
def test_changed_data_are_tuned_on_again(tmp_path: Path, official: bool) -> None:
    data = with_official_test(tmp_path) if official else people(tmp_path / "own.npz")
    write_choice(suite(data), tmp_path)
    assert kept(suite(data), tmp_path) == 1
    file = tmp_path / "own.npz"
    content = dict(np.load(file))
    content["x"][0] += 1
    np.savez(file, **content)
    assert kept(suite(data), tmp_path) == 0


def test_an_older_choice_that_states_no_samples_is_kept(data: str, tmp_path: Path) -> None:
    write_choice(suite(data), tmp_path, samples="")
    assert "samples" not in (tmp_path / "tuned.json").read_text()
    assert kept(suite(data, seeds=(1, 2, 3)), tmp_path) == 1


def test_a_suite_that_goes_on_with_more_seeds_tunes_apart_from_all_of_them(
    data: str, tmp_path: Path, counted: Counted, tuned: BenchmarkResult
) -> None:
    file = tuned.folder / "tuned.json"
    (before,) = json.loads(file.read_text())["choices"]
    more = suite(data, seeds=(1, 2))
    run_suite(more, options(tmp_path, resume=True))
    (after,) = json.loads(file.read_text())["choices"]
    run, trials = tuning_of(more, tmp_path)
    assert after["samples"] == samples_digest(trials.problem.experiment, run.keys.environment)
    assert after["samples"] != before["samples"]
    assert {run.keys.of(task) for task in trials.audits} <= set(counted.computed)
