"""What a worker keeps between tasks: data sets, partitions, splits and originals."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Int
from torch import Tensor, nn

from obliq.auditing import ReferenceSignals, RoleSignals, Signals, compute_signals, memorisation_scores
from obliq.auditing.reference_models import reference_halves, select_answers, stack_answers
from obliq.benchmark.cache import CacheEntry, CacheError, ResultCache
from obliq.benchmark.cache_keys import TaskKeys
from obliq.benchmark.tasks import (
    Experiment,
    NetworkTask,
    OriginalTask,
    Problem,
    ReferenceTask,
    Task,
    task_kind,
)
from obliq.benchmark.tuning_samples import samples_to_tune_on
from obliq.benchmark.unfinished import UnfinishedTask
from obliq.checkpoints import Checkpoint, load_checkpoint
from obliq.checkpoints.tensors import TensorForm, tensors_from_bytes, tensors_to_bytes
from obliq.data import Collection, Examples, Partition, Splits, load_dataset, partition
from obliq.run import Run

SIGNALS_FILE = "signals.safetensors"


def compute_part_signals(
    model: nn.Module, parts: Mapping[str, Examples], device: torch.device
) -> dict[str, Signals]:
    """The signals of a network on every sample of every part."""
    return {name: compute_signals(model, part, device) for name, part in parts.items()}


def write_signals(folder: Path, answers: Mapping[str, Signals]) -> None:
    """Write the signals of all parts into a folder."""
    (folder / SIGNALS_FILE).write_bytes(
        tensors_to_bytes({name: part.logits for name, part in answers.items()})
    )


def read_signals(content: bytes, parts: Mapping[str, Examples]) -> dict[str, Signals]:
    """The signals in what `write_signals` wrote.

    Raises:
        ObliqError: when they do not fit these samples.
    """
    forms = {
        name: TensorForm(torch.float32, (len(part), part.collection.classes)) for name, part in parts.items()
    }
    logits = tensors_from_bytes(content, forms)
    return {name: Signals(logits[name], part.labels) for name, part in parts.items()}


def assign_roles(
    answers: Mapping[str, Signals], train: Examples, forget: Int[Tensor, " forget"]
) -> RoleSignals:
    """The signals by role. Where there are none of the test part, the holdout part stands in for it."""
    forgotten = torch.isin(train.indices, forget).numpy()
    return RoleSignals(
        forget=answers["train"].where(forgotten),
        retain=answers["train"].where(~forgotten),
        holdout=answers["holdout"],
        test=answers.get("test", answers["holdout"]),
    )


SALT = bytes(32)
"""A benchmark's requests are drawn from public data, so the digests of its splits need no secret."""
NETWORK = "network"
"""The folder of an original's checkpoint in its entry of the cache."""
KEPT = 4
"""How many partitions, splits and originals a worker keeps in memory."""
Value = TypeVar("Value")


@dataclass
class WorkerState:
    """Loads what tasks need, from data files and from the cache.

    Attributes:
        cache: of results.
        keys: of tasks.
        data_folder: of the files of built-in data sets.
        deadline: of the monotonic clock, at which a task stops itself; None where a pool ends its workers.
    """

    cache: ResultCache
    keys: TaskKeys
    data_folder: Path | None = None
    deadline: float | None = None
    _collections: dict[str, Collection] = field(default_factory=dict, repr=False)
    _partitions: dict[Any, Partition] = field(default_factory=dict, repr=False)
    _splits: dict[Any, Splits] = field(default_factory=dict, repr=False)
    _originals: dict[Any, Checkpoint] = field(default_factory=dict, repr=False)

    def run(self, seed: int) -> Run:
        """The seed, device and precision of a computation."""
        environment = self.keys.environment
        return Run(
            seed=seed,
            device=torch.device(environment.device),
            autocast=environment.autocast,
            compile=environment.compiled,
        )

    def unfinished(self, task: Task) -> AbstractContextManager[UnfinishedTask]:
        """Where the state of a task's trainings is kept until it is done."""
        return UnfinishedTask.begin(self.cache, self.keys.of(task), self.deadline)

    def partition(self, experiment: Experiment) -> Partition:
        """The divided data."""
        data, aside = experiment.setup.data, experiment.apart_from
        key = (data, experiment.setup.partition_rule(experiment.seed), aside)
        if key not in self._partitions:
            if data not in self._collections:
                self._collections[data] = load_dataset(data, self.data_folder)
            collection = self._collections[data]
            pool = samples_to_tune_on(collection, aside) if aside else collection
            _keep_recent(self._partitions, key, partition(pool, key[1]))
        return self._partitions[key]

    def audited_examples(self, experiment: Experiment) -> dict[str, Examples]:
        """The samples that networks are evaluated on, by part."""
        audited = experiment.setup.audited_examples(self.partition(experiment))
        return {name: audited[name] for name in experiment.parts}

    def splits(self, problem: Problem) -> Splits:
        """The roles under a request.

        Raises:
            DataError: when the data do not allow for the scenario.
        """
        experiment, scenario = problem.experiment, problem.scenario
        key = self.keys.of(problem.original), scenario.text, problem.references
        if key not in self._splits:
            parts = self.partition(experiment)
            scores = self._memorisation(problem) if scenario.needs_references else None
            ids = scenario.select_forget_set(parts, experiment.seed, scores)
            _keep_recent(self._splits, key, parts.forgetting(ids, salt=SALT))
        return self._splits[key]

    def original(self, task: OriginalTask) -> Checkpoint:
        """An original from the cache. The caller must not change it."""
        key = self.keys.of(task)
        if key not in self._originals:
            entry = self._entry(task)
            for name in entry.files:
                entry.read(name)  # compares the digest
            architecture = task.experiment.setup.architecture
            users_own = architecture if ":" in architecture else None
            _keep_recent(self._originals, key, load_checkpoint(entry.folder / NETWORK, users_own))
        return self._originals[key]

    def drop_original(self, task: OriginalTask) -> None:
        """Read an original from the cache again when it is needed next."""
        self._originals.pop(self.keys.of(task), None)

    def answers(self, task: NetworkTask | ReferenceTask) -> dict[str, Signals]:
        """A network's signals, by part."""
        content = self._entry(task).read(SIGNALS_FILE)
        return read_signals(content, self.audited_examples(task.experiment))

    def references(self, problem: Problem, forget: Examples) -> ReferenceSignals | None:
        """The reference networks' answers to the forget set and the test part; None where there are none."""
        experiment, count = problem.experiment, problem.references
        if experiment.without_test or not count:
            return None
        train, test = (self.audited_examples(experiment)[name] for name in ("train", "test"))
        answers = [self.answers(task) for task in problem.reference_tasks]
        on_train = stack_answers(
            [one["train"] for one in answers], train, reference_halves(train, count, experiment.seed)
        )
        on_test = stack_answers(
            [one["test"] for one in answers], test, reference_halves(test, count, experiment.seed)
        )
        return ReferenceSignals(forget=select_answers(on_train, train, forget), test=on_test)

    def _memorisation(self, problem: Problem) -> torch.Tensor:
        train = self.partition(problem.experiment).train
        answers = [self.answers(task)["train"] for task in problem.reference_tasks]
        halves = reference_halves(train, problem.references, problem.experiment.seed)
        return torch.from_numpy(memorisation_scores(stack_answers(answers, train, halves)))

    def _entry(self, task: Task) -> CacheEntry:
        entry = self.cache.find(self.keys.of(task))
        if entry is None:
            raise CacheError(
                f"the result of a task ({task_kind(task)}) is no longer in {self.cache.folder}; expected the cache "
                "to stay as it is during a run"
            )
        return entry


def _keep_recent(kept: dict[Any, Value], key: Any, value: Value) -> None:
    """Add a value, in place of the oldest one where there are too many."""
    if len(kept) >= KEPT:
        del kept[next(iter(kept))]
    kept[key] = value
