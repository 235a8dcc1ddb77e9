"""The order of tasks: as they are listed, each as soon as the tasks that it needs are done."""

import heapq
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter

from obliq.benchmark.cache import ResultCache
from obliq.benchmark.cache_keys import TaskKeys
from obliq.benchmark.tasks import Task, describe_task, task_kind
from obliq.benchmark.unfinished import require_time
from obliq.benchmark.workers import Job, TaskOutcome, WorkerPool


@dataclass(frozen=True)
class PlannedTask:
    """A task with its key and the keys of what it needs."""

    key: str
    task: Task
    needs: frozenset[str]


@dataclass(frozen=True)
class TimeLeft:
    """An estimate of the time until all tasks are done.

    Attributes:
        seconds: from the mean duration of each kind of task.
        at_least: whether this is a lower bound: a kind of task has not been measured yet, or a task already runs
            longer than all others of its kind.
    """

    seconds: float
    at_least: bool


@dataclass
class Progress:
    """How many tasks are done, running and failed.

    Attributes:
        total, done, failed: number of tasks by kind; those found in the cache count as done.
        running: kind and start (monotonic clock) of each running task, by key.
        seconds: durations of the finished tasks, by kind.
        workers: how many tasks can run at once.
    """

    total: Counter[str]
    done: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    running: dict[str, tuple[str, float]] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    workers: int = 1

    @property
    def finished(self) -> int:
        """How many tasks are done or have failed."""
        return self.done.total() + self.failed.total()

    def time_left(self, now: float) -> TimeLeft | None:
        """The time left at `now` (monotonic clock); None before any task was measured."""
        if not self.seconds:
            return None
        mean = {kind: sum(values) / len(values) for kind, values in self.seconds.items()}
        running = [(kind, now - started) for kind, started in self.running.values()]
        waiting = self.total - self.done - self.failed - Counter(kind for kind, _ in running)
        ahead = [max(0.0, mean[kind] - elapsed) for kind, elapsed in running if kind in mean]
        ahead += [mean[kind] for kind in waiting.elements() if kind in mean]
        unmeasured = (waiting.keys() | {kind for kind, _ in running}) - mean.keys()
        overdue = any(elapsed > max(self.seconds.get(kind, [elapsed])) for kind, elapsed in running)
        # the last tasks cannot be shared out: no less than the longest one alone
        seconds = max(sum(ahead) / self.workers, max(ahead, default=0.0))
        return TimeLeft(seconds, at_least=bool(unmeasured) or overdue)


def plan_tasks(tasks: Iterable[Task], keys: TaskKeys) -> list[PlannedTask]:
    """The tasks and all that they need, each once, needs first."""
    found: dict[str, PlannedTask] = {}

    def add(task: Task) -> str:
        key = keys.of(task)
        if key not in found:
            needs = frozenset(map(add, task.needs))
            found[key] = PlannedTask(key, task, needs)
        return key

    for task in tasks:
        add(task)
    return list(found.values())


def run_tasks(
    planned: Sequence[PlannedTask],
    cache: ResultCache,
    pool: WorkerPool,
    watch: Callable[[Progress, TaskOutcome | None], None],
    deadline: float | None = None,
) -> Mapping[str, str]:
    """Run every task whose result is not in the cache; a failed task fails those that need it, the rest goes on.

    Args:
        planned: as `plan_tasks` returns them.
        cache: the cache of results.
        pool: the workers.
        watch: called after every change, with the outcome when a task has ended.
        deadline: of the monotonic clock; None for none.

    Returns:
        The one-line error of every task that failed, by key.

    Raises:
        CacheError: when an entry of the cache does not have its digest.
        TimeIsUp: at the deadline.
    """
    progress = Progress(Counter(task_kind(one.task) for one in planned), workers=pool.size)
    missing = {one.key: one for one in planned if not cache.find(one.key)}
    progress.done.update(task_kind(one.task) for one in planned if one.key not in missing)
    position = {key: number for number, key in enumerate(missing)}
    sorter = TopologicalSorter({key: one.needs & missing.keys() for key, one in missing.items()})
    sorter.prepare()
    errors: dict[str, str] = {}
    ready: list[tuple[int, str]] = []
    watch(progress, None)
    while sorter.is_active():
        require_time(deadline)
        while released := sorter.get_ready():
            for key in released:
                if broken := sorted(missing[key].needs & errors.keys()):
                    errors[key] = errors[broken[0]]
                    progress.failed[task_kind(missing[key].task)] += 1
                    sorter.done(key)  # releases those that need it, which then fail here too
                else:
                    heapq.heappush(ready, (position[key], key))
        while ready and len(progress.running) < pool.size:
            _, key = heapq.heappop(ready)
            progress.running[key] = task_kind(missing[key].task), time.monotonic()
            pool.submit(Job(key, missing[key].task))
        watch(progress, None)
        for outcome in pool.wait(_left_until(deadline)) if progress.running else ():
            kind, _ = progress.running.pop(outcome.key)
            if outcome.error:
                errors[outcome.key] = outcome.error
                progress.failed[kind] += 1
            else:
                progress.done[kind] += 1
                progress.seconds.setdefault(kind, []).append(outcome.seconds)
            sorter.done(outcome.key)
            watch(progress, replace(outcome, description=describe_task(missing[outcome.key].task)))
    return errors


def _left_until(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())
