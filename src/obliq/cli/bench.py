"""`obliq bench`: methods compared over many networks, requests and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from obliq.benchmark.suite import CACHE, RESULTS
from obliq.benchmark.suites import SUITES
from obliq.cli.options import DataFolder, Flag, OutputOptions
from obliq.cli.verbs import StageListener, Verb, VerbOutput
from obliq.errors import ObliqError

if TYPE_CHECKING:
    from obliq.benchmark.run import BenchmarkResult


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """How to compute. Seeds are part of the suite, and every task uses one thread.

    Attributes:
        device: Where to compute.
        autocast: Compute convolutions in bfloat16.
        compile: Compile every training (torch.compile); pays in long ones only.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    autocast: Flag = False
    compile: Flag = False


@dataclass(frozen=True, kw_only=True)
class BenchArguments:
    """Compare methods over many networks, requests and seeds.

    Example: obliq bench smoke

    A suite trains originals, tunes every method on a separate split, unlearns, retrains and audits.
    The results are one JSON file per cell, rows.csv, tuned.json and a report. `obliq bench report SUITE` writes the
    report again from existing rows.

    Attributes:
        resume: Continue an earlier run: reuse cached values, and result rows whose tasks have not changed.
        jobs: Number of tasks at the same time, each in its own process.
        ray: Use Ray (extra `ray`): the processors of this machine, or the cluster in RAY_ADDRESS.
        minutes: Stop after this many minutes, with exit status 3 where tasks are left. The same command with `--resume`
            goes on, within a training too. A method's run starts again. 0: no limit.
        methods: Run only the methods with these names, as in the tables. Their results go into a separate folder.
        cache: Folder of computed values. All suites share it.
        results: Folder in which each suite has its folder of results.
    """

    words: Annotated[
        tyro.conf.Positional[tuple[str, ...]],
        tyro.conf.arg(
            metavar="[report] SUITE",
            help=f"Suite: {', '.join(SUITES)}, or module:function for a suite of your own.",
            help_behavior_hint="(required)",
        ),
    ]
    resume: Flag = False
    jobs: int = 1
    minutes: float = 0.0
    methods: Annotated[tuple[str, ...], tyro.conf.arg(metavar="[NAME ...]", help_behavior_hint="")] = ()
    data_folder: DataFolder = None
    ray: Flag = False
    cache: Annotated[Path, tyro.conf.arg(metavar="DIR")] = CACHE
    results: Annotated[Path, tyro.conf.arg(metavar="DIR")] = RESULTS
    compute: DeviceOptions = field(default_factory=DeviceOptions)
    output: OutputOptions = field(default_factory=OutputOptions)


def run_bench(arguments: BenchArguments, progress: StageListener) -> VerbOutput:
    """Run a suite, or write its report again.

    Raises:
        ObliqError: when there is no such suite, it cannot be run, or some of its tasks failed.
    """
    from obliq.benchmark.report.render import rewrite_report
    from obliq.benchmark.suites import suite_named

    match arguments.words:
        case (name,) if name != "report":
            return _run_suite(name, arguments, progress)
        case ("report", name):
            suite = suite_named(name) if ":" in name or name in SUITES else None
            folder = arguments.results / (suite.name if suite else name)
            words = [
                "bench",
                name,
                "--resume",
                *_repeated(arguments, "--data-folder", "--results", "--cache"),
            ]
            rows = rewrite_report(folder, suite)
            return _output(folder, rows, words if suite and rows < suite.size else [])
        case words:
            raise ObliqError(
                f"bench {' '.join(words)}: expected one suite, or report and one suite ({', '.join(SUITES)})"
            )


def _run_suite(name: str, arguments: BenchArguments, progress: StageListener) -> VerbOutput:
    from obliq.benchmark.run import BenchmarkOptions, run_suite
    from obliq.benchmark.suites import suite_named
    from obliq.run import device_named

    suite = suite_named(name)
    if arguments.methods:
        suite = suite.limited_to(arguments.methods)
    options = BenchmarkOptions(
        resume=arguments.resume,
        jobs=arguments.jobs,
        ray=arguments.ray,
        cache=arguments.cache,
        results=arguments.results,
        data_folder=arguments.data_folder,
        device=device_named(arguments.compute.device).type,
        autocast=arguments.compute.autocast,
        compiled=arguments.compute.compile,
        minutes=arguments.minutes,
        console=progress.console,
    )
    finished = run_suite(suite, options)
    if not finished.complete:
        return VerbOutput(
            lines=[f"{len(finished.rows)} rows in {finished.folder}"],
            values={"folder": str(finished.folder), "rows": len(finished.rows), "complete": False},
            unmet=f"{suite.name} is not complete after {arguments.minutes:g} min; --resume continues it"
            + (f"; {len(finished.failures)} tasks failed so far" if finished.failures else ""),
        )
    if finished.failures:
        raise ObliqError(failure_text(finished))
    return _output(
        finished.folder,
        len(finished.rows),
        ["bench", "report", finished.folder.name, *_repeated(arguments, "--results")],
    )


def failure_text(finished: "BenchmarkResult") -> str:
    """What failed, with the first error: rows, or trials and audits around rows that are complete."""
    from obliq.benchmark.collect import ROWS
    from obliq.benchmark.tuning import TUNED

    failed = sum(row.kind == "failed" for row in finished.rows)
    name, first = finished.folder.name, finished.failures[0]
    if failed:
        return (
            f"{name}: {failed} of {len(finished.rows)} rows failed, the first error: {first}; all errors are in "
            f"{finished.folder / ROWS}"
        )
    return (
        f"{name}: all {len(finished.rows)} rows were computed, but {len(finished.failures)} other tasks failed, "
        f"such as trials of tuning, which have no gap in {TUNED}; the first error: {first}"
    )


def _repeated(arguments: BenchArguments, *options: str) -> list[str | Path]:
    """Those of these options that were not left at their defaults."""
    values = {name: getattr(arguments, name[2:].replace("-", "_")) for name in options}
    defaults = {"--results": RESULTS, "--cache": CACHE}
    return [word for name, value in values.items() if value != defaults.get(name) for word in (name, value)]


def _output(folder: Path, rows: int, next_command: Sequence[str | Path]) -> VerbOutput:
    from obliq.benchmark.collect import ROWS
    from obliq.benchmark.report.render import PAGE

    return VerbOutput(
        lines=[f"{rows} rows in {folder / ROWS}", f"report in {folder / PAGE}"],
        values={"folder": str(folder), "rows": rows, "report": str(folder / PAGE)},
        next_command=next_command,
    )


VERB = Verb(BenchArguments, run_bench)
