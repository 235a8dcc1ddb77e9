"""Functions of the user's own, named `package.module:function`; importing them runs their code."""

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def import_function(path: str) -> Callable[..., Any]:
    """The function that `package.module:function` names; files in the working folder are found too.

    Raises:
        Exception: whatever the user's code raises when it is imported.
        TypeError: when the name is no function's.
    """
    module_name, _, function_name = path.partition(":")
    with _working_folder_importable():
        function = getattr(importlib.import_module(module_name), function_name)
    if not callable(function):
        raise TypeError(f"{function_name} is a {type(function).__name__}, not a function")
    return function  # type: ignore[no-any-return]


def first_line(error: Exception) -> str:
    """The first line of an error; some are pages long."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


@contextlib.contextmanager
def _working_folder_importable() -> Iterator[None]:
    """Let a file beside the user be imported; last in the path, so that it hides no installed package."""
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.append(here)
    try:
        yield
    finally:
        if added and here in sys.path:
            sys.path.remove(here)
