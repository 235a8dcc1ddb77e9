"""What is imported, and when. A process of its own reports which modules a command has loaded."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import obliq
from obliq.cli.verbs import VERBS

WITH_TORCH = ("train", "unlearn")
"""Verbs whose options are the fields of a recipe or a method."""

SLOW = ("matplotlib", "sklearn", "scipy.stats", "scipy.special", "torch._dynamo", "obliq.benchmark")
"""Modules that take long to import and that few commands need."""


def loaded_by(code: str, *names: str) -> list[str]:
    """Those of the modules `names` that a new process has loaded after it ran `code`."""
    report = f"import sys\n{code}\nprint([name for name in {names} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return list(ast.literal_eval(done.stderr.splitlines()[-1]))


def test_importing_the_package_imports_nothing_else() -> None:
    assert loaded_by("import obliq", "torch", "numpy", *SLOW) == []


def test_everything_but_the_benchmark_leaves_slow_packages_alone() -> None:
    code = "from obliq import *; import obliq.exporting, obliq.patch, obliq.workflow.demo"
    assert loaded_by(code, "torch", *SLOW) == ["torch"]


def after(*commands: str) -> str:
    """Code that runs commands of ours, whatever their exit status."""
    lines = ["import contextlib", "from obliq.cli import main"]
    lines += [f"with contextlib.suppress(SystemExit): main({command.split()})" for command in commands]
    return "\n".join(lines)


def test_what_is_printed_without_a_verb_is_printed_without_torch() -> None:
    code = after("", "--help", "--version", "-V", "patch --help", "trian")
    assert loaded_by(code, "torch", "numpy", "tyro", "rich", *SLOW) == []


def test_the_help_of_most_verbs_needs_no_torch() -> None:
    code = after(*(f"{verb} --help" for verb in VERBS if verb not in (*WITH_TORCH, "bench")))
    assert loaded_by(code, "torch", "numpy", "rich", *SLOW) == []


def test_the_help_of_no_verb_but_the_benchmarks_loads_slow_packages() -> None:
    code = after(*(f"{verb} --help" for verb in WITH_TORCH), "unlearn oeu --help")
    assert loaded_by(code, "torch", "rich", *SLOW) == ["torch"]
    code = after("bench --help")
    assert loaded_by(code, "torch", "rich", *SLOW) == ["torch", "obliq.benchmark"]


def test_public_names_are_those_of_the_stub() -> None:
    stub = ast.parse(Path(obliq.__file__).with_suffix(".pyi").read_text())
    stated = {
        name.asname: node.module
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    assert stated == obliq._MODULES
    assert set(obliq.__all__) <= set(dir(obliq))


def test_public_names_are_there_and_are_not_those_of_packages() -> None:
    packages = {module.name for module in pkgutil.iter_modules(obliq.__path__)}
    assert packages.isdisjoint(obliq.__all__)
    for name in obliq.__all__:
        assert getattr(obliq, name) is getattr(importlib.import_module(obliq._MODULES[name]), name)
