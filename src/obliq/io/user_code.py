"""Functions of the user's, by the name `package.module:function`; importing them runs their code."""

import contextlib
import importlib
import linecache
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from obliq.io.visible_text import visible_line


def import_function(path: str) -> Callable[..., Any]:
    """The function with the name `package.module:function`; the working folder is searched, too.

    Raises:
        Exception: whatever the user's code raises when it is imported.
        TypeError: when the name is not that of a function.
    """
    module_name, _, function_name = path.partition(":")
    with _working_folder_importable():
        function = getattr(importlib.import_module(module_name), function_name)
    if not callable(function):
        raise TypeError(f"{function_name} is a {type(function).__name__}, not a function")
    return function  # type: ignore[no-any-return]


def first_line(error: Exception) -> str:
    """The first line of an error, which may be pages long."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {visible_line(lines[0])[:200]}" if lines else type(error).__name__


def place_in_code(error: Exception) -> str:
    """The last line of code outside Obliq and PyTorch that an error came through; empty where there is none.

    For instance `mynet.py, line 12: if x > 0:`.
    """
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        file = frame.f_code.co_filename
        if package not in ("torch", "obliq") and not file.startswith("<"):
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
