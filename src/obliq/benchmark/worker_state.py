"""A worker's place: what tasks share (data, originals, answers of reference networks) stays for the next task."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Int
from torch import Tensor, nn

from obliq.auditing import ReferenceSignals, RoleSignals, Signals, compute_signals, memorisation_scores
from obliq.auditing.reference_models import reference_halves, select_answers, stack_answers
from obliq.benchmark.cache import Entry, Store, StoreError
from obliq.benchmark.cache_keys import Keys
from obliq.benchmark.tasks import Case, Ground, Network, Original, Reference, Task, kind_of
from obliq.checkpoints import Checkpoint, load_checkpoint
from obliq.checkpoints.tensors import TensorForm, tensors_from_bytes, tensors_to_bytes
from obliq.data import Collection, Examples, Partition, Splits, load_dataset, partition
from obliq.run import Run

SIGNALS_FILE = "signals.safetensors"


def signals_of(model: nn.Module, parts: Mapping[str, Examples], device: torch.device) -> dict[str, Signals]:
    """Ask a network once about every sample of every part."""
    return {name: compute_signals(model, part, device) for name, part in parts.items()}


def write_signals(folder: Path, answers: Mapping[str, Signals]) -> None:
    """Put the answers into a folder."""
    (folder / SIGNALS_FILE).write_bytes(
        tensors_to_bytes({name: part.logits for name, part in answers.items()})
    )


def read_signals(content: bytes, parts: Mapping[str, Examples]) -> dict[str, Signals]:
    """The answers in what `write` wrote.

    Raises:
        ObliqError: when they are not answers to these samples.
    """
    forms = {
        name: TensorForm(torch.float32, (len(part), part.collection.classes)) for name, part in parts.items()
    }
    logits = tensors_from_bytes(content, forms)
    return {name: Signals(logits[name], part.labels) for name, part in parts.items()}


def in_roles(answers: Mapping[str, Signals], train: Examples, forget: Int[Tensor, " forget"]) -> RoleSignals:
    """The answers by role; where there are none to the test part, the holdout part stands in for it."""
    asked = torch.isin(train.indices, forget).numpy()
    return RoleSignals(
        forget=answers["train"].where(asked), retain=answers["train"].where(~asked),
        holdout=answers["holdout"], test=answers.get("test", answers["holdout"]),
    )  # fmt: skip


SALT = bytes(32)
"""Nobody asked: a benchmark's requests are drawn from public data, so their digests need no secret."""
NETWORK = "network"
REMEMBERED = 4
Value = TypeVar("Value")


@dataclass
class Workshop:
    """Loads what tasks need, from data files and from the store.

    Attributes:
        store: of results.
        keys: of tasks.
        data_folder: where the files of built-in sets are.
    """

    store: Store
    keys: Keys
    data_folder: Path | None = None
    _collections: dict[str, Collection] = field(default_factory=dict, repr=False)
    _partitions: dict[Any, Partition] = field(default_factory=dict, repr=False)
    _splits: dict[Any, Splits] = field(default_factory=dict, repr=False)
    _originals: dict[Any, Checkpoint] = field(default_factory=dict, repr=False)

    def run(self, seed: int) -> Run:
        """The circumstances of a computation."""
        origins = self.keys.origins
        return Run(seed=seed, device=torch.device(origins.device), autocast=origins.autocast)

    def parts(self, ground: Ground) -> Partition:
        """The divided data."""
        key = (ground.world.data, ground.world.rule(ground.seed))
        if key not in self._partitions:
            if ground.world.data not in self._collections:
                self._collections[ground.world.data] = load_dataset(ground.world.data, self.data_folder)
            _remember(self._partitions, key, partition(self._collections[key[0]], key[1]))
        return self._partitions[key]

    def asked(self, ground: Ground) -> dict[str, Examples]:
        """The samples that networks are asked about, by part."""
        audited = ground.world.audited(self.parts(ground))
        return {name: audited[name] for name in ground.parts}

    def splits(self, case: Case) -> Splits:
        """The roles under a request.

        Raises:
            DataError: when the data do not allow for the scenario.
        """
        key = self.keys.of(Original(ground=case.ground)), case.scenario.words, case.references
        if key not in self._splits:
            parts = self.parts(case.ground)
            scores = self._memorisation(case) if case.scenario.needs_references else None
            ids = case.scenario.forget(parts, case.ground.seed, scores)
            _remember(self._splits, key, parts.forgetting(ids, salt=SALT))
        return self._splits[key]

    def saved(self, task: Original) -> Checkpoint:
        """An original; it must be left as it is."""
        key = self.keys.of(task)
        if key not in self._originals:
            entry = self._entry(task)
            for name in entry.files:
                entry.read(name)
            own = task.ground.world.architecture if ":" in task.ground.world.architecture else None
            _remember(self._originals, key, load_checkpoint(entry.folder / NETWORK, own))
        return self._originals[key]

    def answers(self, task: Network | Reference) -> dict[str, Signals]:
        """What a network said, by part."""
        content = self._entry(task).read(SIGNALS_FILE)
        return read_signals(content, self.asked(task.ground))

    def references(self, case: Case, forget: Examples) -> ReferenceSignals | None:
        """What the reference networks say about the forget set and the test part; None where there are none."""
        if case.ground.blind or not case.references:
            return None
        train, test = (self.asked(case.ground)[name] for name in ("train", "test"))
        said = [self.answers(task) for task in case.reference_tasks]
        seed, count = case.ground.seed, case.references
        about_train = stack_answers(
            [one["train"] for one in said], train, reference_halves(train, count, seed)
        )
        about_test = stack_answers([one["test"] for one in said], test, reference_halves(test, count, seed))
        return ReferenceSignals(forget=select_answers(about_train, train, forget), test=about_test)

    def _memorisation(self, case: Case) -> torch.Tensor:
        train = self.parts(case.ground).train
        said = [self.answers(task)["train"] for task in case.reference_tasks]
        halves = reference_halves(train, case.references, case.ground.seed)
        return torch.from_numpy(memorisation_scores(stack_answers(said, train, halves)))

    def _entry(self, task: Task) -> Entry:
        entry = self.store.find(self.keys.of(task))
        if entry is None:
            raise StoreError(f"the result of a task ({kind_of(task)}) is gone from {self.store.folder}")
        return entry


def _remember(remembered: dict[Any, Value], key: Any, value: Value) -> None:
    """Keep a few values; the oldest makes room."""
    if len(remembered) >= REMEMBERED:
        del remembered[next(iter(remembered))]
    remembered[key] = value
