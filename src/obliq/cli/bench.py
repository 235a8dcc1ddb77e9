"""The benchmark on the command line."""

from pathlib import Path

from obliq.benchmark.collect import ROWS
from obliq.benchmark.report.render import PAGE, write_report_again
from obliq.benchmark.run import Options, run_suite
from obliq.benchmark.suites import SUITES, suite_named
from obliq.cli.bench_arguments import Bench
from obliq.cli.progress import Narrator
from obliq.cli.verbs import Outcome
from obliq.errors import ObliqError
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
    finished = run_suite(suite, options)
    told = _told(finished.folder, len(finished.rows))
    if finished.failures:
        failed = sum(row.kind == "failed" for row in finished.rows)
        raise ObliqError(
            f"{suite.name}: {failed} of {len(finished.rows)} rows failed, errors of tasks: {len(finished.failures)}, "
            f"the first: {finished.failures[0]}; the others are in {finished.folder / ROWS}"
        )
    return told


def _report(folder: Path) -> Outcome:
    return _told(folder, write_report_again(folder))


def _told(folder: Path, rows: int) -> Outcome:
    return Outcome(
        [f"{rows} rows in {folder / ROWS}, report in {folder / PAGE}"],
        {"folder": str(folder), "rows": rows, "report": str(folder / PAGE)},
    )
