"""Tasks that an interruption cut off: a suite goes on within a training, and counts the time before."""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from obliq.benchmark.cache import CacheError, ResultCache
from obliq.errors import ObliqError
from obliq.io.atomic import write_file
from obliq.io.drafts import remove_tree
from obliq.io.regular_file import read_regular_file
from obliq.run import Run, TrainingsFolder, together
from obliq.training.continuation import SECONDS_BETWEEN

TRAININGS = "trainings"
"""The folder of unfinished tasks in that of the cache."""
SECONDS = "seconds"
"""The file with the time that a task has taken so far."""
LARGEST = 100  # bytes of that file
KEY = bytes(32)
"""A benchmark's requests are drawn from public data, so the states of its trainings need no secret."""


class TimeIsUp(BaseException):
    """A run has taken as long as it may. No `Exception`, as a task must not take it for an error of its own."""


def require_time(deadline: float | None) -> None:
    """Raise `TimeIsUp` once the monotonic clock has passed a deadline."""
    if deadline is not None and time.monotonic() >= deadline:
        raise TimeIsUp


@dataclass
class UnfinishedTask:
    """The state of a task's trainings, until the task is done.

    Attributes:
        folder: of the states; it is there once a training was long enough to be kept.
        earlier: seconds that the task took before it was interrupted. Work that is done again, such as the steps of a
            method, counts twice.
        deadline: of the monotonic clock, at which the task stops after the epoch that it is in; None for none.
    """

    folder: Path
    earlier: float = 0.0
    deadline: float | None = None
    _started: float = field(default_factory=time.perf_counter)
    _noted: float = field(default_factory=time.perf_counter)

    @classmethod
    @contextmanager
    def begin(cls, cache: ResultCache, key: str, deadline: float | None = None) -> Iterator["UnfinishedTask"]:
        """Begin a task, or go on with it; its states are removed when it ends without an error.

        Raises:
            CacheError: where a link stands in place of the folder of all such tasks.
        """
        folder = cache.folder / TRAININGS / key
        if folder.parent.is_symlink():
            raise CacheError(f"{folder.parent} is a link; expected a folder of the cache, or none")
        yield cls(folder, _seconds(folder / SECONDS), deadline)
        if folder.exists():
            remove_tree(folder)

    def run(self, run: Run) -> Run:
        """The same run, which keeps its trainings here."""
        return replace(
            run, trainings=TrainingsFolder(self.folder, KEY), listen=together(run.listen, self._note)
        )

    def _note(self, stage: str, step: int, of: int, values: Mapping[str, float]) -> None:
        """Keep the time so far beside the states, once there are any.

        Raises:
            TimeIsUp: after the deadline.
        """
        now = time.perf_counter()
        if now - self._noted >= SECONDS_BETWEEN and self.folder.exists():
            write_file(self.folder / SECONDS, f"{self.earlier + now - self._started}", overwrite=True)
            self._noted = now
        require_time(self.deadline)


def _seconds(file: Path) -> float:
    """The time in a file; 0 where it holds none."""
    with suppress(ObliqError, ValueError):
        found = float(read_regular_file(file, LARGEST))
        return found if 0 <= found < math.inf else 0.0
    return 0.0
