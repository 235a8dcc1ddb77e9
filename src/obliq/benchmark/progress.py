"""How far a benchmark has come: a table on a terminal, plain lines elsewhere."""

import dataclasses
import time
from types import TracebackType

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table

from obliq.benchmark.schedule import State
from obliq.benchmark.tasks import KINDS
from obliq.benchmark.workers import Outcome

LINES = 10
"""Plain lines for one stretch of work."""


class Board:
    """Shows the state of the work; use as a context manager."""

    def __init__(self, console: Console, title: str) -> None:
        self._console, self._title = console, title
        self._shown: State | None = None
        self._live = (
            Live(console=console, get_renderable=self._table, refresh_per_second=1, transient=True)
            if console.is_terminal
            else None
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
        if error and self._shown:
            self._say(f"  {self._title}: stopped after {_count(self._shown)}; --resume goes on from there")

    def watch(self, state: State, outcome: Outcome | None) -> None:
        """Show the state; say what failed as it happens."""
        if outcome and outcome.error:
            self._say(f"  failed: {outcome.what}: {outcome.error}")
            if outcome.trace:
                self._say(outcome.trace.rstrip())
        self._shown = _copy(state)
        if self._live:
            self._live.refresh()
            return
        step = _finished(state) * LINES // max(1, state.total.total())
        if step != self._said:
            self._said = step
            self._say(f"  {_headed(self._title, state)}")

    def _table(self) -> Table | str:
        """What is shown now; also asked for once a second, so that durations go on while a task takes long."""
        return table(self._title, self._shown) if self._shown else ""

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


def _copy(state: State) -> State:
    """What another thread can read while the work goes on."""
    return dataclasses.replace(
        state, done=state.done.copy(), failed=state.failed.copy(), running=dict(state.running),
        seconds={kind: list(seconds) for kind, seconds in state.seconds.items()},
    )  # fmt: skip


def table(title: str, state: State) -> Table:
    """One line a kind of task, in the order in which they need each other."""
    shown = Table(title=_headed(title, state), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("task", "done", "of", "failed", "running", "longest so far", "mean"):
        shown.add_column(heading, justify="left" if heading == "task" else "right", no_wrap=True)
    now = time.monotonic()
    for kind in (kind for kind in KINDS.values() if state.total[kind]):
        since = [now - started for one, started in state.running.values() if one == kind]
        seconds = state.seconds.get(kind, [])
        shown.add_row(
            kind, str(state.done[kind]), str(state.total[kind]), str(state.failed[kind] or ""),
            str(len(since) or ""), words(max(since)) if since else "",
            f"{sum(seconds) / len(seconds):.1f} s" if seconds else "",
        )  # fmt: skip
    return shown


def _headed(title: str, state: State) -> str:
    return f"{title}: {_count(state)}, {words(state.left)} left"


def _count(state: State) -> str:
    return f"{_finished(state)} of {state.total.total()} tasks"


def _finished(state: State) -> int:
    return state.done.total() + state.failed.total()


def words(seconds: float | None) -> str:
    """A duration for people."""
    if seconds is None:
        return "unknown time"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
    )
