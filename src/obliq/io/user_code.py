"""Functions of the user's, by the name `package.module:function`; importing them runs their code."""

import contextlib
import functools
import importlib
import linecache
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from obliq.io.visible_text import visible_line


class SystemExitError(Exception):
    """Code of the user's called `sys.exit`, as a script without a main guard does when it is imported."""


class TerminatedBySignal(SystemExit):
    """The process was requested to end. It may be at work in code of the user's, which did not call `sys.exit`."""


def terminate(number: int, frame: object) -> NoReturn:
    """A handler of signals that unwinds the stack, which removes drafts.

    Raises:
        TerminatedBySignal: with the exit status of a process that the signal ends.
    """
    raise TerminatedBySignal(128 + number)


@contextlib.contextmanager
def exit_as_error() -> Iterator[None]:
    """Run code of the user's whose `sys.exit` must not end Obliq, perhaps with status 0.

    Raises:
        SystemExitError: in place of SystemExit.
    """
    try:
        yield
    except TerminatedBySignal:
        raise
    except SystemExit as error:
        place = place_in_code(error)
        raise SystemExitError(
            f"the code called sys.exit({error.code if error.code is not None else ''})"
            f"{f' ({place})' if place else ''}; expected code that returns, and scripts under "
            "`if __name__ == '__main__':`"
        ) from error


def import_function(path: str) -> Callable[..., Any]:
    """The function with the name `package.module:function`; the working folder is searched, too.

    Returns:
        The function, whose calls raise SystemExitError where its code calls `sys.exit`.

    Raises:
        Exception: whatever the user's code raises when it is imported.
        TypeError: when the name is not that of a function.
        SystemExitError: when the module calls `sys.exit`.
    """
    module_name, _, function_name = path.partition(":")
    with _working_folder_importable(), exit_as_error():
        function = getattr(importlib.import_module(module_name), function_name)
    if not callable(function):
        raise TypeError(f"{function_name} is a {type(function).__name__}, not a function")

    @functools.wraps(function, updated=())
    def guarded(*given: Any, **named: Any) -> Any:
        with exit_as_error():
            return function(*given, **named)

    return guarded


def first_line(error: Exception) -> str:
    """The first line of an error, which may be pages long."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {visible_line(lines[0])[:200]}" if lines else type(error).__name__


def place_in_code(error: BaseException) -> str:
    """The last line of code that an error came through outside Obliq and its libraries; empty where there is none.

    For instance `mynet.py, line 12: if x > 0:`.
    """
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        file = frame.f_code.co_filename
        if package not in ("torch", "obliq", "contextlib") and not file.startswith("<"):
            source = linecache.getline(file, line).strip()
            return f"{Path(file).name}, line {line}" + (f": {source[:120]}" if source else "")
    return ""


@contextlib.contextmanager
def _working_folder_importable() -> Iterator[None]:
    """Search the working folder for modules, after all else, so that it hides no installed package."""
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.append(here)
    try:
        yield
    finally:
        if added and here in sys.path:
            sys.path.remove(here)
