"""A benchmark from its suite to its rows: plan, tune, run, publish."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from obliq.auditing.metrics import compare_with_retrained
from obliq.benchmark import collect, plan, result_files, tuning
from obliq.benchmark.cache import Store
from obliq.benchmark.cache_keys import Keys, origins
from obliq.benchmark.plan import Trials
from obliq.benchmark.progress import ProgressDisplay
from obliq.benchmark.ray_workers import RayPool
from obliq.benchmark.report.background import background_of
from obliq.benchmark.report.render import write_report
from obliq.benchmark.result_files import Made
from obliq.benchmark.rows import ResultRow
from obliq.benchmark.schedule import Progress, plan_tasks, run_tasks
from obliq.benchmark.suite import CACHE, RESULTS, Suite
from obliq.benchmark.tuning import Choice, Place, Tuned
from obliq.benchmark.worker_state import Workshop
from obliq.benchmark.workers import InProcess, Outcome, Pool, Processes
from obliq.errors import ObliqError
from obliq.io.lock import locked

SECONDS_BETWEEN_FILES = 60.0
MOST_JOBS = 1024


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to run a suite.

    Attributes:
        resume: use what the cache holds of this suite, and the rows in its files of results that would be made by
            the same tasks now (see `obliq.benchmark.result_files`); without it, the cache must hold nothing, and all
            rows are computed.
        jobs: processes of one thread each.
        ray: work on Ray instead; `jobs` is then the number of its workers, 0 for one a processor.
        cache: folder of what was computed.
        results: folder of the folders of results.
        data_folder: where the files of built-in data sets are.
        device: cpu or cuda.
        autocast: convolutions in bfloat16, where that pays.
        console: where progress is shown.
    """

    resume: bool = False
    jobs: int = 1
    ray: bool = False
    cache: Path = CACHE
    results: Path = RESULTS
    data_folder: Path | None = None
    device: str = "cpu"
    autocast: bool = False
    console: Console = field(default_factory=lambda: Console(stderr=True))

    def __post_init__(self) -> None:
        if not (0 if self.ray else 1) <= self.jobs <= MOST_JOBS:
            raise ObliqError(f"jobs {self.jobs}; expected 1 to {MOST_JOBS}")


@dataclass(frozen=True)
class Finished:
    """What came out.

    Attributes:
        folder: of the results.
        rows: all of them; those that failed say why.
        failures: the one-line error of every task that failed, in tuning too.
    """

    folder: Path
    rows: list[ResultRow]
    failures: list[str]


def run_suite(suite: Suite, options: Options) -> Finished:
    """Compute every row of a suite that is not there yet, and write the results as they come.

    Raises:
        ObliqError: when a data set is missing, a folder cannot be written, another run uses the cache, the cache
            holds results of the suite and `resume` is false, or an entry of it, or with `resume` the file of a
            cell, is not what its digest says.
    """
    folder = options.results / suite.name
    published = result_files.published(folder, suite) if options.resume else []
    with locked(options.cache):
        store = Store(options.cache)
        store.sweep()
        data = {world.data for one in suite.worlds for world in (one, suite.tuning_world(one))}
        keys = Keys(origins(data, options.data_folder, options.device, autocast=options.autocast))
        open_trials, choices = _to_tune(suite, tuning.known(folder / tuning.FILE, suite))
        _refuse_unexpected(suite, open_trials, choices, store, keys, options)
        collect.require_writable(folder)  # fails now rather than after hours
        with _pool(Workshop(store, Keys(keys.origins), options.data_folder), options) as pool:
            choices, failures = _tuned(suite, open_trials, choices, folder, store, keys, pool, options)
            made, failed = _computed(suite, Tuned(choices), published, folder, store, keys, pool, options)
        rows = [one.row for one in made]
        write_report(folder, rows, background_of(suite, keys, (one.machine for one in made)))
    return Finished(folder, rows, [*failures, *failed])


def _to_tune(suite: Suite, known: dict[Place, Choice]) -> tuple[list[Trials], dict[Place, Choice]]:
    """What is still to be tried, and the choices that stand."""
    everything = list(plan.trials(suite))
    places = {one.place for one in everything}
    return (
        [one for one in everything if one.place not in known],
        {place: choice for place, choice in known.items() if place in places},
    )


def _refuse_unexpected(
    suite: Suite, open_trials: Sequence[Trials], choices: dict[Place, Choice], store: Store, keys: Keys,
    options: Options,
) -> None:  # fmt: skip
    """Stop where a cache has results of the suite that nobody said to use."""
    if options.resume:
        return
    planned = plan_tasks([task for one in open_trials for task in (*one.measured, one.reference)], keys)
    if not open_trials:
        planned += plan_tasks(
            [task for line in plan.lines(suite, Tuned(choices)) for task in line.tasks], keys
        )
    there = sum(store.find(one.key) is not None for one in planned)
    if there:
        raise ObliqError(
            f"{options.cache} holds {there} results of {suite.name} already; expected --resume to use them, or "
            "another --cache"
        )


def _pool(workshop: Workshop, options: Options) -> Pool:
    if options.ray:
        return RayPool(workshop, options.jobs)
    return InProcess(workshop) if options.jobs == 1 else Processes(workshop, options.jobs)


def _tuned(
    suite: Suite, open_trials: Sequence[Trials], choices: dict[Place, Choice], folder: Path, store: Store,
    keys: Keys, pool: Pool, options: Options,
) -> tuple[dict[Place, Choice], list[str]]:  # fmt: skip
    """All choices, those of before and those made now, and what failed."""
    if not open_trials:
        return choices, []
    planned = plan_tasks([task for one in open_trials for task in (one.reference, *one.measured)], keys)
    with ProgressDisplay(options.console, f"tuning {suite.name}") as display:
        errors = run_tasks(planned, store, pool, display.watch)
    chosen = {one.place: _choice(suite, one, store, keys, errors) for one in open_trials}
    everything = choices | chosen
    collect.write_text(folder / tuning.FILE, tuning.write(everything))
    return everything, list(dict.fromkeys(errors.values()))


def _choice(suite: Suite, tried: Trials, store: Store, keys: Keys, errors: Any) -> Choice:
    ideal = store.find(keys.of(tried.reference))
    found = [store.find(keys.of(one)) for one in tried.measured]
    gaps = tuple(
        compare_with_retrained(entry.values, ideal.values).get("average_gap") if entry and ideal else None
        for entry in found
    )
    causes = [errors[key] for one in (tried.reference, *tried.measured) if (key := keys.of(one)) in errors]
    best = tuning.smallest(gaps)
    world = tried.case.ground.world
    return Choice(
        data=world.data, architecture=world.architecture, bits=world.bits, scenario=tried.case.scenario.words,
        contender=tried.contender.name, seed=suite.tuning_seed,
        trials=tuple(map(tuning.text_of, tried.contender.trials())), gaps=gaps, chosen=best,
        error=causes[0] if best is None and causes else "",
    )  # fmt: skip


def _computed(
    suite: Suite, tuned: Tuned, published: Sequence[Made], folder: Path, store: Store, keys: Keys, pool: Pool,
    options: Options,
) -> tuple[list[Made], list[str]]:  # fmt: skip
    """All rows, written as they come, and what failed."""
    lines = list(plan.lines(suite, tuned))
    there = result_files.taken(published, lines, keys)
    if published:
        options.console.print(there.words(folder, len(lines)), highlight=False, markup=False, soft_wrap=True)
    missing = [line for line in lines if there.find(line, keys) is None]
    planned = plan_tasks([task for line in missing for task in line.tasks], keys)
    failed: dict[str, str] = {}

    def publish(errors: Mapping[str, str]) -> list[Made]:
        return collect.publish(folder, lines, store, keys, errors, there)

    publish(failed)
    with ProgressDisplay(options.console, suite.name) as display:
        errors = (
            run_tasks(planned, store, pool, _publishing(display.watch, publish, failed)) if planned else {}
        )
    made = publish(errors)
    return made, list(dict.fromkeys([*errors.values(), *(line.error for line in lines if line.error)]))


def _publishing(
    watch: Callable[[Progress, Outcome | None], None], publish: Callable[[Mapping[str, str]], object],
    failed: dict[str, str],
) -> Callable[[Progress, Outcome | None], None]:  # fmt: skip
    """Also write the files now and then."""
    last = time.monotonic()

    def both(progress: Progress, outcome: Outcome | None) -> None:
        nonlocal last
        watch(progress, outcome)
        if outcome and outcome.error:
            failed[outcome.key] = outcome.error
        if outcome and time.monotonic() - last > SECONDS_BETWEEN_FILES:
            publish(failed)
            last = time.monotonic()

    return both
