"""How far a benchmark has come: a table on a terminal, plain lines elsewhere."""

import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from obliq.bench.pools import Outcome
from obliq.bench.schedule import State

LINES = 10
"""Plain lines for one stretch of work."""


class Board:
    """Shows the state of the work; use as a context manager."""

    def __init__(self, console: Console, title: str) -> None:
        self._console, self._title = console, title
        self._live = (
            Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        )
        self._said = -1

    def __enter__(self) -> "Board":
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def watch(self, state: State, outcome: Outcome | None) -> None:
        """Show the state; say what failed as it happens."""
        if outcome and outcome.error:
            self._say(f"  failed: {outcome.error}")
            if outcome.trace:
                self._say(outcome.trace.rstrip())
        if self._live:
            self._live.update(table(self._title, state), refresh=True)
            return
        finished, total = state.done.total() + state.failed.total(), state.total.total()
        step = finished * LINES // max(1, total)
        if step != self._said:
            self._said = step
            self._say(f"  {self._title}: {finished} of {total} tasks, {words(state.left)} left")

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


def table(title: str, state: State) -> Table:
    """One line a kind of task."""
    shown = Table(title=f"{title}, {words(state.left)} left", title_justify="left")
    for heading in ("task", "done", "failed", "of", "running", "mean", "longest running"):
        shown.add_column(heading, justify="left" if heading == "task" else "right")
    now = time.monotonic()
    for kind, total in state.total.items():
        since = [now - started for one, started in state.running.values() if one == kind]
        seconds = state.seconds.get(kind, [])
        shown.add_row(
            kind, str(state.done[kind]), str(state.failed[kind] or ""), str(total), str(len(since) or ""),
            f"{sum(seconds) / len(seconds):.1f} s" if seconds else "", words(max(since)) if since else "",
        )  # fmt: skip
    return shown


def words(seconds: float | None) -> str:
    """A duration for people."""
    if seconds is None:
        return "unknown time"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
    )
