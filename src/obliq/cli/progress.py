"""Progress of a long computation: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from obliq.io.utc import format_duration
from obliq.io.visible_text import visible_line

LINES_PER_STAGE = 5
SECONDS_PER_LINE = 10
"""Between two lines of a part that comes again; the last line of each part is always printed."""
REPEATED = {"train": "training", "unlearn": "round"}
"""What steps that come again are, by what the computation calls them; others have names that people read."""


@dataclass
class Part:
    """Steps of one kind within a stage: the epochs of one training, or one round of an unlearning method.

    Attributes:
        name: what the computation calls these steps.
        number: how many parts of this name the stage has had, this one included.
        total: the last step that was announced.
        before: steps of earlier rounds, which the computation goes on counting from.
        step: the last step that is done.
        first_step: the step at which `started` was measured. What comes before it is not repeated with every step.
        started: seconds of a monotonic clock.
    """

    name: str
    number: int
    total: int
    before: int
    step: int
    first_step: int
    started: float

    @property
    def words(self) -> str:
        """What tells this part from the others of its stage; empty for the first steps of a kind that comes again."""
        if self.name not in REPEATED:
            return self.name if self.number == 1 else f"{self.name} ({self.number})"
        return "" if self.number == 1 else f"{REPEATED[self.name]} {self.number}"

    @property
    def done(self) -> int:
        """Steps of this part that are done."""
        return self.step - self.before

    @property
    def of(self) -> int:
        """Steps of this part."""
        return self.total - self.before

    def seconds_left(self, now: float) -> float | None:
        """An estimate from the steps after the first; None before there is one, and at the end."""
        measured, remaining = self.step - self.first_step, self.total - self.step
        return (now - self.started) / measured * remaining if measured > 0 and remaining > 0 else None


class ProgressReporter:
    """A listener that shows each stage with its steps and the time left; use as a context manager.

    Args:
        console: where to print; verbs may show something else there.
        verbose: whether every step gets a line of its own.
    """

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        self.console, self._verbose = console, verbose
        self._bars: Progress | None = None
        self._bar: TaskID | None = None
        self._label, self._parts = "", Counter[str]()
        self._part: Part | None = None
        self._stage_started = self._printed = time.monotonic()

    def __enter__(self) -> ProgressReporter:
        if self.console.is_terminal and not self._verbose and not self.console.quiet:
            self._bars = Progress(
                TextColumn(
                    "{task.description}",
                    markup=False,
                    table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
                ),
                BarColumn(bar_width=10),
                TextColumn("{task.fields[count]}", justify="right"),
                TextColumn("{task.fields[note]}"),
                _TimeColumn(),
                console=self.console,
                expand=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            if error is None:
                self._finish()
            self._bars.stop()

    def stage(self, label: str) -> None:
        """Begin a new stage; the one before is complete."""
        self._finish()
        label = visible_line(label)
        self._label, self._parts, self._part = label, Counter(), None
        self._stage_started = time.monotonic()
        if self._bars:
            self._bars.start()  # only now: a verb without stages shows something else on this terminal
            self._bar = self._bars.add_task(label, total=None, count="", note="", left=None, took=None)
        else:
            self.print_line(f"{label} ...")

    def print_line(self, line: str) -> None:
        """Print a line and read nothing in it as markup; it stays one line where there is no terminal."""
        line = visible_line(line)  # a class may be called anything
        self.console.print(line, highlight=False, markup=False, soft_wrap=not self.console.is_terminal)

    def print_warning(self, words: str) -> None:
        """Print a warning, also where progress is left out (`--quiet`)."""
        quiet, self.console.quiet = self.console.quiet, False
        try:
            self.print_line(f"WARNING: {words}")
        finally:
            self.console.quiet = quiet

    def __call__(self, stage: str, step: int, of: int, values: Mapping[str, float]) -> None:
        """Show that `step` of `of` steps are done."""
        now, repeated = time.monotonic(), self._part is not None and self._part.step == step
        part = self._follow(stage, step, of, now)
        label = f"{self._label}, {part.words}" if part.words else self._label
        note = _all_values(values) if self._verbose else _loss(values)
        if self._bars and self._bar is not None:
            self._bars.update(
                self._bar,
                description=label,
                completed=part.done,
                total=part.of,
                count=f"{part.done:,}/{part.of:,}",
                left=part.seconds_left(now),
                note=note or self._bars.tasks[-1].fields["note"],
            )
        elif self._verbose or (part.done and not repeated and self._is_due(part, now)):
            self._printed = now
            left = part.seconds_left(now)
            words = [f"{part.done:,} of {part.of:,}", f"{format_duration(now - self._stage_started)} so far"]
            words += [f"about {format_duration(left)} left"] if left is not None else []
            words += [note] if note else []
            self.print_line(f"  {label}: {', '.join(words)}")

    def _follow(self, name: str, step: int, of: int, now: float) -> Part:
        """The part that a step belongs to: a new one when the steps begin again, or go on after their announced end."""
        last = self._part
        if last is None or name != last.name or step < last.step:
            before = 0
        elif of > last.total:
            before = last.total
        else:
            last.step = step
            return last
        self._parts[name] += 1
        self._part = Part(name, self._parts[name], of, before, step, first_step=step, started=now)
        return self._part

    def _is_due(self, part: Part, now: float) -> bool:
        if part.done == part.of:
            return True
        if self._parts.total() > 1 and now - self._printed < SECONDS_PER_LINE:
            return False
        return part.done % max(1, part.of // LINES_PER_STAGE) == 0

    def _finish(self) -> None:
        if self._bars and self._bar is not None:
            task = self._bars.tasks[-1]
            done = task.completed or 1
            self._bars.update(
                self._bar, completed=done, total=done, took=time.monotonic() - self._stage_started
            )
            self._bar = None


class _TimeColumn(ProgressColumn):
    """The time left where it is known, else the time so far; of a complete stage the time that it took."""

    def render(self, task: Task) -> Text:
        left, took = task.fields["left"], task.fields["took"]
        if took is None and left is not None:
            return Text(f"{format_duration(left)} left")
        return Text(format_duration(took or task.elapsed or 0))


def _loss(values: Mapping[str, float]) -> str:
    loss = values.get("loss", values.get("retain_loss"))
    return "" if loss is None else f"loss {loss:.3f}"


def _all_values(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in values.items())
