"""The benchmark on the command line."""

from pathlib import Path

from obliq.bench.benchmark import Options, run
from obliq.bench.results import ROWS
from obliq.bench.suites import SUITES, suite_named
from obliq.bench.telling import PAGE, write_again
from obliq.cli.bench_arguments import Bench
from obliq.cli.verbs import Outcome
from obliq.errors import ObliqError
from obliq.progress import Narrator
from obliq.run import device_named


def run_bench(arguments: Bench, narrator: Narrator) -> Outcome:
    """Run a suite, or write its report again.

    Raises:
        ObliqError: when there is no such suite, it cannot be run, or some of its tasks failed.
    """
    match arguments.words:
        case (name,) if name != "report":
            return _suite(name, arguments, narrator)
        case ("report", name):
            return _report(arguments.results / name)
        case words:
            raise ObliqError(
                f"bench {' '.join(words)}: expected one suite, or report and one suite ({', '.join(SUITES)})"
            )


def _suite(name: str, arguments: Bench, narrator: Narrator) -> Outcome:
    suite = suite_named(name)
    if arguments.methods:
        suite = suite.limited_to(arguments.methods)
    options = Options(
        resume=arguments.resume, jobs=arguments.jobs, ray=arguments.ray, cache=arguments.cache,
        results=arguments.results, data_folder=arguments.data_folder, device=device_named(arguments.run.device).type,
        autocast=arguments.run.autocast, console=narrator.console,
    )  # fmt: skip
    finished = run(suite, options)
    told = _told(finished.folder, len(finished.rows))
    if finished.failures:
        failed = sum(row.kind == "failed" for row in finished.rows)
        raise ObliqError(
            f"{suite.name}: {failed} of {len(finished.rows)} rows failed, errors of tasks: {len(finished.failures)}, "
            f"the first: {finished.failures[0]}; the others are in {finished.folder / ROWS}"
        )
    return told


def _report(folder: Path) -> Outcome:
    return _told(folder, write_again(folder))


def _told(folder: Path, rows: int) -> Outcome:
    return Outcome(
        [f"{rows} rows in {folder / ROWS}, report in {folder / PAGE}"],
        {"folder": str(folder), "rows": rows, "report": str(folder / PAGE)},
    )
