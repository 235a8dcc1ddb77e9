"""What is imported, and when. A process of its own reports which modules a command has loaded."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import obliq

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
