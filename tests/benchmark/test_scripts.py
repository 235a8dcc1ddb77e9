"""The scripts of `benchmarks/`, which no other test runs: what they import is there."""

import ast
import importlib
from importlib.util import find_spec
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.py"))


def imported_names(script: Path) -> list[tuple[str, str]]:
    """Module and name of everything that a script imports from this package and from other scripts."""
    ours = {"obliq", *(one.stem for one in SCRIPTS)}
    return [
        (statement.module, one.name)
        for statement in ast.walk(ast.parse(script.read_text()))
        if isinstance(statement, ast.ImportFrom) and statement.module
        for one in statement.names
        if statement.module.split(".")[0] in ours
    ]


def defined_names(script: Path) -> set[str]:
    """What a script defines for others: functions, classes and values."""
    body = ast.parse(script.read_text()).body
    named = {one.name for one in body if isinstance(one, ast.FunctionDef | ast.ClassDef)}
    assigned = (one for one in body if isinstance(one, ast.Assign | ast.AnnAssign))
    return named | {
        one.id
        for value in assigned
        for one in ast.walk(value)
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
    }


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_what_a_script_imports_is_there(script: Path) -> None:
    for module, name in imported_names(script):
        if module.split(".")[0] == "obliq":
            found = importlib.import_module(module)
            there = hasattr(found, name) or (hasattr(found, "__path__") and find_spec(f"{module}.{name}"))
        else:
            there = name in defined_names(script.parent / f"{module}.py")
        assert there, f"{module} has no {name}"
