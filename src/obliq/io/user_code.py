"""Functions of the user's, by the name `package.module:function`; importing them runs their code."""

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


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
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


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
