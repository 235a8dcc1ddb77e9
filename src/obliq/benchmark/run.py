"""A run of a suite: plan, tune, compute every row, write the results and the report."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from obliq.benchmark.cache import ResultCache
from obliq.benchmark.cache_keys import TaskKeys, load_environment
from obliq.benchmark.collect import ROWS, ResultWriter, read_rows, require_writable
from obliq.benchmark.plan import TuningTrials, planned_rows, reported_problems, tuning_trials
from obliq.benchmark.progress import ProgressDisplay
from obliq.benchmark.ray_workers import RayPool
from obliq.benchmark.report.background import background_of
from obliq.benchmark.report.render import write_benchmark_report
from obliq.benchmark.result_files import RecordedRow, find_reusable_rows, read_recorded_rows
from obliq.benchmark.rows import ResultRow
from obliq.benchmark.schedule import Progress, plan_tasks, run_tasks
from obliq.benchmark.suite import CACHE, RESULTS, Suite
from obliq.benchmark.tasks import Task
from obliq.benchmark.tuning import TUNED, TunedFields, TuningChoice, TuningKey
from obliq.benchmark.tuning_run import TuningRun
from obliq.benchmark.unfinished import TimeIsUp
from obliq.benchmark.worker_state import WorkerState
from obliq.benchmark.workers import InProcessPool, ProcessPool, TaskOutcome, WorkerPool
from obliq.errors import ObliqError
from obliq.io.lock import locked

MOST_JOBS = 1024
MOST_MINUTES = 525_600  # a year


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions:
    """How to run a suite.

    Attributes:
        resume: use the suite's results in the cache, and the rows in its files of results that the same tasks would
            compute again (see `obliq.benchmark.result_files`). Without it, the cache must hold nothing of the suite,
            and all rows are computed.
        jobs: number of processes, of one thread each.
        ray: use Ray instead; `jobs` is then the number of its workers, 0 for one per processor.
        cache: folder of computed values.
        results: folder of the suites' folders of results.
        data_folder: folder of the files of built-in data sets.
        device: cpu or cuda.
        autocast: convolutions in bfloat16, where that is faster.
        compiled: trainings through torch.compile, which pays in long ones only, see `obliq.training.loop`.
        minutes: stop after so long; a later run with `resume` goes on. 0 for no limit.
        console: for the progress.
    """

    resume: bool = False
    jobs: int = 1
    ray: bool = False
    cache: Path = CACHE
    results: Path = RESULTS
    data_folder: Path | None = None
    device: str = "cpu"
    autocast: bool = False
    compiled: bool = False
    minutes: float = 0.0
    console: Console = field(default_factory=lambda: Console(stderr=True))

    def __post_init__(self) -> None:
        fewest = 0 if self.ray else 1
        if not fewest <= self.jobs <= MOST_JOBS:
            raise ObliqError(f"jobs {self.jobs}; expected {fewest} to {MOST_JOBS}")
        if not 0 <= self.minutes <= MOST_MINUTES:
            raise ObliqError(f"minutes {self.minutes:g}; expected 0 (no limit) to {MOST_MINUTES:,}")


@dataclass(frozen=True)
class BenchmarkResult:
    """The result of a run.

    Attributes:
        folder: of the files.
        rows: all of them; those that failed state the reason.
        failures: the one-line error of every task that failed, in tuning too.
        complete: whether every task was run; not so where the time was up.
    """

    folder: Path
    rows: list[ResultRow]
    failures: list[str]
    complete: bool = True


def run_suite(suite: Suite, options: BenchmarkOptions) -> BenchmarkResult:
    """Compute every row of a suite that is not there yet, and write the results as they come.

    Raises:
        ObliqError: when a data set is missing or does not allow for a request of the suite, a folder cannot be
            written, or another run uses the cache or the folder of results; when one of them holds results of the suite
            and `resume` is false; and when an entry of the cache, or with `resume` the file of a cell, does not have
            its digest.
    """
    folder = options.results / suite.name
    if not options.resume and (folder / ROWS).exists():
        raise ObliqError(
            f"{folder} holds rows of {suite.name} already; expected --resume to keep those that are current, or "
            "another --results"
        )
    deadline = time.monotonic() + 60 * options.minutes if options.minutes else None
    try:
        return _run_suite(suite, options, folder, deadline)
    except TimeIsUp:  # nothing could be written: tuning is not complete, or outdated rows are there
        there = read_rows(folder) if (folder / ROWS).exists() else []
        return BenchmarkResult(folder, there, [], complete=False)


def _run_suite(
    suite: Suite, options: BenchmarkOptions, folder: Path, deadline: float | None
) -> BenchmarkResult:
    data = {setup.data for one in suite.setups for setup in (one, suite.setup_to_tune_in(one))}
    environment = load_environment(
        data, options.data_folder, options.device, autocast=options.autocast, compiled=options.compiled
    )
    with locked(options.cache), locked(folder, "one run at a time, or another --results"):
        cache = ResultCache(options.cache)
        cache.remove_drafts()
        run = _SuiteRun(suite, options, folder, cache, TaskKeys(environment), deadline)
        tuning = TuningRun(suite, folder / TUNED, cache, run.keys, options.console, deadline)
        choices = tuning.kept_choices()
        trials = tuning.missing_trials(choices)
        run.refuse_unexpected_results(trials, choices)
        run.draw_requests()
        require_writable(folder)  # fails now rather than after hours
        recorded = read_recorded_rows(folder, suite) if options.resume else []
        # keys of their own, as workers in processes need them without what this process has computed
        with _pool(WorkerState(cache, TaskKeys(environment), options.data_folder), options) as pool:
            choices, tuning_failures = tuning.tune(trials, choices, pool)
            results, failures, complete = run.compute_rows(TunedFields(choices), recorded, pool)
        rows = [one.row for one in results]
        machines = (one.origin.machine for one in results)
        write_benchmark_report(folder, rows, background_of(suite, run.keys, machines, choices.values()))
    return BenchmarkResult(folder, rows, [*tuning_failures, *failures], complete)


def _pool(state: WorkerState, options: BenchmarkOptions) -> WorkerPool:
    if options.ray:
        return RayPool(state, options.jobs)
    return InProcessPool(state) if options.jobs == 1 else ProcessPool(state, options.jobs)


@dataclass(frozen=True)
class _SuiteRun:
    """What all steps of a run share."""

    suite: Suite
    options: BenchmarkOptions
    folder: Path
    cache: ResultCache
    keys: TaskKeys
    deadline: float | None

    def refuse_unexpected_results(
        self, trials: Sequence[TuningTrials], choices: Mapping[TuningKey, TuningChoice]
    ) -> None:
        """Raise where the cache has results of the suite and `resume` is false."""
        if self.options.resume:
            return
        tasks: list[Task] = [task for one in trials for task in (*one.audits, one.retrained_audit)]
        if not trials:  # the rows are known only when tuning is complete
            tasks += [task for row in planned_rows(self.suite, TunedFields(choices)) for task in row.tasks]
        planned = plan_tasks(tasks, self.keys)
        if there := sum(self.cache.find(one.key) is not None for one in planned):
            raise ObliqError(
                f"{self.options.cache} holds {there} results of {self.suite.name} already; expected --resume to use "
                "them, or another --cache"
            )

    def draw_requests(self) -> None:
        """Draw every request that can be drawn before a network is trained, to raise for an impossible one now."""
        state = WorkerState(self.cache, self.keys, self.options.data_folder)
        tuned = (one.problem for one in tuning_trials(self.suite))
        for problem in dict.fromkeys((*tuned, *reported_problems(self.suite))):
            if problem.scenario.needs_references:
                state.partition(problem.experiment)
            else:
                state.splits(problem)

    def compute_rows(
        self, tuned: TunedFields, recorded: Sequence[RecordedRow], pool: WorkerPool
    ) -> tuple[list[RecordedRow], list[str], bool]:
        """All rows, written as they come, the errors of tasks, and whether no task is left.

        Raises:
            TimeIsUp: at the deadline, where there is no row or outdated ones are to stay.
        """
        planned = list(planned_rows(self.suite, tuned))
        reused = find_reusable_rows(recorded, planned, self.keys)
        if recorded:
            summary = reused.summary(self.folder, len(planned))
            self.options.console.print(summary, highlight=False, markup=False, soft_wrap=True)
        missing = [row for row in planned if reused.find(row, self.keys) is None]
        tasks = plan_tasks([task for row in missing for task in row.tasks], self.keys)
        writer = ResultWriter(self.folder, planned, self.cache, self.keys, reused)
        writer.write_what_is_there()
        complete = True
        if tasks:
            with ProgressDisplay(self.options.console, self.suite.name) as display:

                def watch(progress: Progress, outcome: TaskOutcome | None) -> None:
                    display.watch(progress, outcome)
                    writer.watch(outcome)

                try:
                    writer.errors |= run_tasks(tasks, self.cache, pool, watch, self.deadline)
                except TimeIsUp:
                    complete = False
                    if reused.outdated:
                        raise
        unplanned = [row.error for row in planned if row.error]
        rows = writer.write()
        if not rows:
            raise TimeIsUp
        return rows, list(dict.fromkeys([*writer.errors.values(), *unplanned])), complete
