"""Tuning sees no sample and no person of a reported test part."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import obliq
from obliq.benchmark.cache import ResultCache
from obliq.benchmark.cache_keys import TaskKeys, load_environment
from obliq.benchmark.plan import tuning_trials
from obliq.benchmark.scenario import draw_subjects
from obliq.benchmark.suites import digits_targets_suite, watch_suite
from obliq.benchmark.tuning_samples import samples_to_tune_on
from obliq.benchmark.worker_state import WorkerState
from obliq.data import Collection, PartitionRule, partition
from obliq.errors import DataError
from tests.benchmark.toys import suite


def pictures(count: int, *, people: int = 0, tests: int = 0) -> Collection:
    """Noise, of some people, with some samples set aside for testing."""
    return Collection(
        name="noise",
        inputs=torch.zeros(count, 1, 2, 2),
        labels=torch.arange(count) % 3,
        subjects=torch.arange(count) % people if people else None,
        official_test=torch.arange(count) < tests if tests else None,
    )


@pytest.mark.parametrize("people", [0, 25])
def test_what_a_suite_tunes_on_shares_nothing_with_its_test_parts(tmp_path: Path, people: int) -> None:
    file = tmp_path / "own.npz"
    given: dict[str, Any] = {"subject": np.arange(300) % people} if people else {}
    np.savez(
        file, x=np.random.default_rng(0).random((300, 1, 6, 6), np.float32), y=np.arange(300) % 3, **given
    )
    planned = suite(f"npz:{file}", seeds=(1, 2, 3))
    keys = TaskKeys(load_environment([f"npz:{file}"], None, "cpu", autocast=False))
    state = WorkerState(ResultCache(tmp_path / "cache"), keys)
    (trials,) = tuning_trials(planned)
    tuning = state.partition(trials.problem.experiment)
    seen = torch.cat([tuning.train.indices, tuning.holdout.indices])
    subjects = tuning.collection.subjects
    for seed in planned.seeds:
        test = partition(tuning.collection, planned.setups[0].partition_rule(seed)).test.indices
        assert not torch.isin(seen, test).any()
        assert subjects is None or not torch.isin(subjects[seen], subjects[test]).any()
    assert len(seen) > 100


def test_an_official_test_part_is_always_apart_and_so_are_its_people() -> None:
    rules = [PartitionRule(seed=1)]
    assert len(samples_to_tune_on(pictures(60, tests=20), rules)) == 60
    marked = pictures(60, people=30, tests=20)  # each person has two samples, and 20 of the first are tests
    left = samples_to_tune_on(marked, rules)
    assert marked.subjects is not None
    assert marked.official_test is not None
    tuned = left.indices[~marked.official_test[left.indices]]
    assert sorted(tuned.tolist()) == [*range(20, 30), *range(50, 60)]
    assert int(marked.official_test[left.indices].sum()) == 20
    everyone = pictures(60, people=20, tests=20)
    with pytest.raises(DataError, match="leave 0 of 60 samples"):
        samples_to_tune_on(everyone, rules)


def test_many_seeds_leave_nothing_to_tune_on() -> None:
    rules = [PartitionRule(seed=seed) for seed in range(40)]
    with pytest.raises(
        DataError, match=r"leave \d+ of 90 samples of noise for tuning; expected a tenth or more"
    ):
        samples_to_tune_on(pictures(90), rules)


def test_the_digits_have_enough_people_left() -> None:
    planned = digits_targets_suite()
    (experiment,) = {trials.problem.experiment for trials in tuning_trials(planned)}
    left = samples_to_tune_on(obliq.load_dataset("digits"), experiment.apart_from)
    assert len(partition(left, experiment.setup.partition_rule(experiment.seed)).train) > 400


def test_ten_people_are_enough_for_every_part_and_for_tuning() -> None:
    """Divisions depend on the number of windows of each person, which are those of the original here."""
    windows = [284, 273, 157, 150, 249, 242, 265, 243, 244, 262]
    people = torch.repeat_interleave(torch.arange(1, 11), torch.tensor(windows))
    collection = Collection(
        name="watch", inputs=torch.zeros(len(people), 1, 1), labels=people % 7, subjects=people
    )
    suite = watch_suite()
    (setup,) = suite.setups
    (experiment,) = {trials.problem.experiment for trials in tuning_trials(suite)}
    left = samples_to_tune_on(collection, experiment.apart_from)
    divided = [partition(collection, setup.partition_rule(seed)) for seed in suite.seeds]
    forgotten = {draw_subjects(parts, 1, seed) for seed, parts in zip(suite.seeds, divided, strict=True)}
    assert len(forgotten) == len(suite.seeds)
    for parts in (*divided, partition(left, setup.partition_rule(suite.tuning_seed))):
        owners = [set(people[one.indices].tolist()) for one in (parts.train, parts.holdout, parts.test)]
        assert len(owners[0]) >= 5
        assert min(map(len, owners[1:])) >= 1
        assert len(set.union(*owners)) == sum(map(len, owners))
