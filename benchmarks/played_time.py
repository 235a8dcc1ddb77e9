"""Commands at a time that is set, and steps that are done once however often a script is killed."""

import contextlib
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from obliq.cli import main


@contextlib.contextmanager
def clock(day: date) -> Iterator[None]:
    """The clock of every verb, at nine in the morning."""
    before = os.environ.get("SOURCE_DATE_EPOCH")
    os.environ["SOURCE_DATE_EPOCH"] = str(
        int(datetime(day.year, day.month, day.day, 9, tzinfo=UTC).timestamp())
    )
    try:
        yield
    finally:
        if before is None:
            del os.environ["SOURCE_DATE_EPOCH"]
        else:
            os.environ["SOURCE_DATE_EPOCH"] = before


def obliq(*words: object, allowed: tuple[int, ...] = (0,)) -> tuple[int, dict[str, Any]]:
    """The exit status and the values of a command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([*map(str, words), "--json", "-q"])
    if status not in allowed:
        raise RuntimeError(f"obliq {' '.join(map(str, words))}: {status}\n{err.getvalue()}")
    return status, json.loads(out.getvalue() or "{}")


@dataclass
class Steps:
    """What is done, in a file that grows by a line for each step.

    Attributes:
        file: the lines.
        done: what each step gave.
    """

    file: Path
    done: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for line in self.file.read_text().splitlines() if self.file.exists() else []:
            with contextlib.suppress(ValueError):  # a line that a killed process began
                self.done |= json.loads(line)

    def once(self, name: str, act: Callable[[], Any]) -> Any:
        """What a step gives, computed once; a step that was killed is done again, which changes nothing."""
        if name not in self.done:
            self.done[name] = act()
            with self.file.open("a") as opened:
                opened.write(json.dumps({name: self.done[name]}) + "\n")
        return self.done[name]
