"""In which order tasks are done: as they are listed, each as soon as what it needs is there."""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from obliq.benchmark.cache import Store
from obliq.benchmark.cache_keys import Keys
from obliq.benchmark.tasks import Task, kind_of, told
from obliq.benchmark.workers import Job, Outcome, Pool


@dataclass(frozen=True)
class Node:
    """A task with its key and the keys of what it needs."""

    key: str
    task: Task
    needs: frozenset[str]


@dataclass
class State:
    """How far the work has come; what a progress display shows.

    Attributes:
        total, done, failed: tasks, by kind; those found in the store count as done.
        running: when each running task began, by key.
        seconds: what each finished task took, by kind.
    """

    total: Counter[str]
    done: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    running: dict[str, tuple[str, float]] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    workers: int = 1

    @property
    def left(self) -> float | None:
        """Seconds until the end, from the mean of each kind; None before anything was measured."""
        everything = [second for seconds in self.seconds.values() for second in seconds]
        if not everything:
            return None
        usual = sum(everything) / len(everything)
        means = {kind: sum(values) / len(values) for kind, values in self.seconds.items() if values}
        ahead = {kind: self.total[kind] - self.done[kind] - self.failed[kind] for kind in self.total}
        return sum(count * means.get(kind, usual) for kind, count in ahead.items()) / self.workers


def nodes(tasks: Iterable[Task], keys: Keys) -> list[Node]:
    """The tasks and all that they need, each once, needs first."""
    found: dict[str, Node] = {}

    def add(task: Task) -> str:
        key = keys.of(task)
        if key not in found:
            needs = frozenset(map(add, task.needs))
            found[key] = Node(key, task, needs)
        return key

    for task in tasks:
        add(task)
    return list(found.values())


def work(
    planned: Sequence[Node], store: Store, pool: Pool, watch: Callable[[State, Outcome | None], None]
) -> Mapping[str, str]:
    """Do what is not in the store yet; a failed task fails those that need it, and the rest goes on.

    Args:
        planned: as `nodes` gives them.
        store: where results are.
        pool: who works.
        watch: is told after every change.

    Returns:
        The one-line error of every task that failed, by key.

    Raises:
        StoreError: when an entry of the store is not what its digest says.
    """
    state = State(Counter(kind_of(node.task) for node in planned), workers=pool.size)
    there = {node.key for node in planned if store.find(node.key)}
    waiting = {node.key: node for node in planned if node.key not in there}
    state.done.update(kind_of(node.task) for node in planned if node.key in there)
    names = {node.key: told(node.task) for node in planned}
    errors: dict[str, str] = {}
    watch(state, None)
    while waiting or state.running:
        for node in _failed_before(waiting, errors):
            del waiting[node.key]
            state.failed[kind_of(node.task)] += 1
        for node in _ready(waiting, there, pool.size - len(state.running)):
            del waiting[node.key]
            state.running[node.key] = kind_of(node.task), time.monotonic()
            pool.submit(Job(node.key, node.task))
        watch(state, None)
        for outcome in pool.wait() if state.running else ():
            kind, _ = state.running.pop(outcome.key)
            if outcome.error:
                errors[outcome.key] = outcome.error
                state.failed[kind] += 1
            else:
                there.add(outcome.key)
                state.done[kind] += 1
                state.seconds.setdefault(kind, []).append(outcome.seconds)
            watch(state, replace(outcome, what=names[outcome.key]))
    return errors


def _failed_before(waiting: Mapping[str, Node], errors: dict[str, str]) -> list[Node]:
    """The nodes that cannot be done any more; they get the error of what they need."""
    found = []
    for node in waiting.values():  # needs come first, so one pass finds what follows from what
        if broken := sorted(node.needs & errors.keys()):
            errors[node.key] = errors[broken[0]]
            found.append(node)
    return found


def _ready(waiting: Mapping[str, Node], there: set[str], room: int) -> list[Node]:
    """The first nodes that can be begun, as many as there is room for."""
    return list(itertools.islice((node for node in waiting.values() if node.needs <= there), max(0, room)))
