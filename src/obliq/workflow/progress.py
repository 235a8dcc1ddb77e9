"""Progress for callers of the library: a line that is rewritten on a terminal, a few plain lines elsewhere."""

import sys
import time
from collections.abc import Mapping
from typing import TextIO

from obliq.errors import ObliqError
from obliq.run import Listener, silent

LINES = 5
"""Lines per computation where the output is no terminal, such as a notebook or a log file."""


class PrintedProgress:
    """A listener that prints steps, seconds and the first two measured values."""

    def __init__(self, title: str, stream: TextIO | None = None) -> None:
        self._title = title
        self._stream = sys.stderr if stream is None else stream
        self._on_terminal = self._stream.isatty()
        self._started = time.monotonic()
        self._last = ("", 0)

    def __call__(self, stage: str, step: int, of: int, values: Mapping[str, float]) -> None:
        """Print that `step` of `of` steps are done, where a line is due."""
        due = step == of or step % max(1, of // LINES) == 0
        if (stage, step) == self._last or not (self._on_terminal or due):
            return
        self._last = stage, step
        measured = [f"{name.replace('_', ' ')} {value:.3g}" for name, value in list(values.items())[:2]]
        seconds = f"{time.monotonic() - self._started:.0f} s"
        title = self._title if stage in ("train", "unlearn") else f"{self._title}, {stage}"
        line = f"{title}: {step} of {of}, {', '.join([seconds, *measured])}"
        start, end = ("\r\x1b[K", "\n" if step == of else "") if self._on_terminal else ("", "\n")
        print(f"{start}{line}", end=end, file=self._stream, flush=True)


def listener_for(title: str, progress: bool | Listener) -> Listener:
    """The listener for an argument `progress`: printed lines, nothing, or the caller's own function.

    Raises:
        ObliqError: for anything else.
    """
    if not isinstance(progress, bool):
        if not callable(progress):
            raise ObliqError(
                f"progress={progress!r}; expected True, False or a function of (stage, step, of, values)"
            )
        return progress
    return PrintedProgress(title) if progress else silent
