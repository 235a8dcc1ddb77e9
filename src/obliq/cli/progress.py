"""How a long computation tells a person that it is going on: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

LINES_A_STAGE = 5


class Narrator:
    """A listener that shows one line of progress a stage, with the time left; use as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Progress | None = None
        self._bar: TaskID | None = None
        self._label = ""
        self._started = time.monotonic()

    def __enter__(self) -> Narrator:
        if self._console.is_terminal:
            self._bars = Progress(
                TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"), TimeRemainingColumn(), console=self._console,
            )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    @property
    def console(self) -> Console:
        """Where it is shown."""
        return self._console

    def stage(self, label: str) -> None:
        """Begin a new stage."""
        self._label, self._started = label, time.monotonic()
        if self._bars:
            self._bars.start()  # only now: who has no stages shows something else on this terminal
            self._bar = self._bars.add_task(label, total=None, note="")
        else:
            self.say(f"{label} ...")

    def say(self, line: str) -> None:
        """Print a line, however long, and nothing in it read as markup."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def __call__(self, stage: str, step: int, of: int, values: Mapping[str, float]) -> None:
        """Show that `step` of `of` is done."""
        if self._bars and self._bar is not None:
            self._bars.update(self._bar, completed=step, total=of, note=_note(values) or self._noted())
        elif step == of or step % max(1, of // LINES_A_STAGE) == 0:
            seconds = time.monotonic() - self._started
            left = seconds / step * (of - step)
            words = (
                f"  {self._label}: {step} of {of}, {seconds:.0f} s, about {left:.0f} s left  {_note(values)}"
            )
            self.say(words.rstrip())

    def _noted(self) -> str:
        assert self._bars is not None
        return str(self._bars.tasks[-1].fields["note"])


def _note(values: Mapping[str, float]) -> str:
    for name in ("loss", "retain_loss"):
        if name in values:
            return f"{name.replace('_', ' ')} {values[name]:.3f}"
    return ""
