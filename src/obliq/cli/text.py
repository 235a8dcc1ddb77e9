"""Text for a terminal: lines are broken between words, and letters that the terminal lacks are written as escapes."""

import io
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

from obliq.io.visible_text import visible_line

BOX = "╭│╰+|"
"""How lines begin that a box draws: they fit already."""

COMMANDS = ("usage:", "Example:")
"""How lines begin that go on indented on the next line."""

TITLES = {
    "─ subcommands ─": "─ methods ─────",
    "show this help message and exit": "Show this help message and exit",
}
"""Words that the parser writes, and better ones."""


def print_encoded(text: str, stream: Any) -> None:
    """Print even what the stream's encoding lacks: a file name or a label may hold any letter."""
    encoding = stream.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream)


def fitted(line: str, width: int) -> str:
    """A line broken between words to a width. Words that are longer stay whole; a terminal breaks those itself."""
    if len(line) <= width:
        return line
    name = re.match(r" *\S+( \S+)?  +", line)  # of a field, whose value continues below its beginning
    indent = len(name[0]) if name else len(line) - len(line.lstrip()) + 4 * line.startswith(COMMANDS)
    return textwrap.fill(
        line, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )


def fitted_command(words: Sequence[str], width: int) -> list[str]:
    """A command as lines that a shell reads as one: each but the last ends in a backslash."""
    first, *rest = words
    lines = [first]
    for word in rest:
        if len(f"{lines[-1]} {word} \\") <= width:
            lines[-1] += f" {word}"
        else:
            lines[-1] += " \\"
            lines.append(f"    {word}")
    return lines


def terminal_width(stream: Any) -> int:
    """Columns of the terminal behind a stream; without one, lines are never broken."""
    return shutil.get_terminal_size().columns if stream.isatty() else sys.maxsize


def print_fitted(text: str, stream: Any) -> None:
    """Print a line, broken between words where the stream is a terminal; nothing in it controls the terminal."""
    print_encoded(fitted(visible_line(text), terminal_width(stream)), stream)


class _Recorder(io.StringIO):
    """Records what is written, and looks like the stream that it stands for: colours depend on it."""

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self._stream = stream

    def isatty(self) -> bool:
        return bool(self._stream.isatty())

    @property
    def encoding(self) -> Any:  # type: ignore[override]
        return self._stream.encoding


@contextmanager
def fitted_help() -> Iterator[io.StringIO]:
    """Fit a parser's help to the terminal: it breaks lines in its boxes only, not in the usage and the description.

    Yields:
        What the parser prints about errors.
    """
    streams = sys.stdout, sys.stderr
    recorders = [_Recorder(stream) for stream in streams]
    try:
        with redirect_stdout(recorders[0]), redirect_stderr(recorders[1]):
            yield recorders[1]
    finally:
        for stream, recorder in zip(streams, recorders, strict=True):
            for line in recorder.getvalue().splitlines():
                print_encoded(_fitted_help_line(line), stream)
            stream.flush()  # now, while it is known what to do when nobody reads it


def _fitted_help_line(line: str) -> str:
    for title, better in TITLES.items():
        line = line.replace(title, better)
    if line.lstrip("\x1b[0123456789;m").startswith(tuple(BOX)):
        return line
    return fitted(
        re.sub(r"\{[^} ]{40,}\}", "METHOD [METHOD OPTIONS]", line), shutil.get_terminal_size().columns
    )
