"""The progress of a benchmark: a table on a terminal, plain lines elsewhere."""

import dataclasses
import time
from types import TracebackType

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from obliq.benchmark.schedule import Progress, TimeLeft
from obliq.benchmark.tasks import TASK_KINDS
from obliq.benchmark.workers import TaskOutcome
from obliq.io.utc import format_duration

PLAIN_LINES = 10
"""How many lines at most report the progress of one set of tasks where there is no terminal."""


class ProgressDisplay:
    """Shows the progress of a set of tasks; use as a context manager."""

    def __init__(self, console: Console, title: str) -> None:
        self._console, self._title = console, title
        self._latest: Progress | None = None
        self._live = (
            Live(console=console, get_renderable=self._render, refresh_per_second=1, transient=True)
            if console.is_terminal
            else None
        )
        self._printed_step = -1

    def __enter__(self) -> "ProgressDisplay":
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()
        if error and self._latest:
            self._print(f"  {self._title}: stopped after {_count(self._latest)}; pass --resume to continue")

    def watch(self, progress: Progress, outcome: TaskOutcome | None) -> None:
        """Show the progress; print each failure as it happens."""
        if outcome and outcome.error:
            self._print(f"  failed: {outcome.description}: {outcome.error}")
            if outcome.trace:
                self._print(outcome.trace.rstrip())
        self._latest = _copy(progress)
        if self._live:
            self._live.refresh()
            return
        step = progress.finished * PLAIN_LINES // max(1, progress.total.total())
        if step != self._printed_step:
            self._printed_step = step
            self._print(f"  {heading(self._title, progress)}")

    def _render(self) -> Group | str:
        """What is shown now; rendered every second, so that durations advance during a long task."""
        if self._latest is None:
            return ""
        return Group(Text(heading(self._title, self._latest)), progress_table(self._latest))

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


def _copy(progress: Progress) -> Progress:
    """What the thread that refreshes the display can read while the tasks go on."""
    return dataclasses.replace(
        progress,
        done=progress.done.copy(),
        failed=progress.failed.copy(),
        running=dict(progress.running),
        seconds={kind: list(seconds) for kind, seconds in progress.seconds.items()},
    )


def progress_table(progress: Progress) -> Table:
    """One line for each kind of task, in the order in which they need each other."""
    shown = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("task", "done", "of", "failed", "running", "longest so far", "mean"):
        shown.add_column(column, justify="left" if column == "task" else "right", no_wrap=True)
    now = time.monotonic()
    for kind in (kind for kind in TASK_KINDS.values() if progress.total[kind]):
        elapsed = [now - started for one, started in progress.running.values() if one == kind]
        seconds = progress.seconds.get(kind, [])
        shown.add_row(
            kind,
            str(progress.done[kind]),
            str(progress.total[kind]),
            str(progress.failed[kind] or ""),
            str(len(elapsed) or ""),
            format_duration(max(elapsed)) if elapsed else "",
            format_duration(sum(seconds) / len(seconds)) if seconds else "",
        )
    return shown


def heading(title: str, progress: Progress) -> str:
    """The title, how many tasks are finished, and the time left."""
    return f"{title}: {_count(progress)}{_time_left(progress)}"


def _count(progress: Progress) -> str:
    return f"{progress.finished} of {progress.total.total()} tasks"


def _time_left(progress: Progress) -> str:
    if progress.finished == progress.total.total():
        return ""
    left: TimeLeft | None = progress.time_left(time.monotonic())
    if left is None:
        return ", time left unknown"
    return f", {'more than' if left.at_least else 'about'} {format_duration(left.seconds)} left"
