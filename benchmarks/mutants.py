"""Do the tests notice a mistake? Small mistakes are put into a module one by one, and its tests run on each.

    python benchmarks/mutants.py [--most 100] [--only TEXT]

A *mutant* is the module with one comparison, number, operator, condition or statement changed. It is *killed* if a test
fails, or takes ten times as long as without the mistake, and *survives* otherwise. Survivors are listed with their
lines: each is a mistake that no test would notice, or a change that makes no difference. Needs Linux.

The module is changed in a copy of the package, and each mutant runs in a child of a process that has torch loaded.
"""

import argparse
import ast
import contextlib
import copy
import importlib
import os
import platform
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "benchmarks" / "results" / "mutants.md"

TESTS = {
    "obliq/io/strict_json.py": ("tests/io/test_strict_json.py", "tests/io/test_documents.py"),
    "obliq/io/regular_file.py": (
        "tests/checkpoints/test_hostile_files.py",
        "tests/patch/test_command_line.py",
    ),
    "obliq/patch/decoder.py": ("tests/patch/test_refusals.py", "tests/patch/test_round_trip.py"),
    "obliq/patch/encryption.py": ("tests/patch/test_encryption.py", "tests/patch/test_command_line.py"),
    "obliq/io/keys.py": ("tests/patch/test_signing.py",),
    "obliq/auditing/verdict_rules.py": ("tests/auditing/test_verdict.py",),
}
"""Modules, and the tests that should notice mistakes in them."""

PRELOADED = (
    "torch",
    "numpy",
    "scipy.stats",
    "sklearn.svm",
    "safetensors.torch",
    "beartype",
)
SLOWER = 10
"""Times as long as without a mistake after which a mutant counts as noticed."""

SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}


Change = Callable[[Any], None]
"""Changes one place of a tree."""


@dataclass(frozen=True)
class Mutant:
    """A module with one mistake.

    Attributes:
        line: where it is.
        change: what was changed, in words.
        text: the module.
    """

    line: int
    change: str
    text: str


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its lines."""
    tree = ast.parse(source)
    inside = [node for node in ast.walk(tree) if not isinstance(node, ast.Module)]
    for place, node in enumerate(inside):
        for change, mutate in _changes(node):
            other = copy.deepcopy(tree)
            twin = [node for node in ast.walk(other) if not isinstance(node, ast.Module)][place]
            mutate(twin)
            ast.fix_missing_locations(other)
            yield Mutant(getattr(node, "lineno", 0), change, ast.unparse(other))


def _changes(node: ast.AST) -> Iterator[tuple[str, Change]]:
    """What can be changed at one place of a tree: words, and a function that changes the place."""

    def swap_operator(twin: Any) -> None:
        twin.op = SWAPPED[type(twin.op)]()

    def swap_comparison(which: int) -> Change:
        def swap(twin: Any) -> None:
            twin.ops[which] = SWAPPED[type(twin.ops[which])]()

        return swap

    def set_to(name: str, value: object) -> Change:
        return lambda twin: setattr(twin, name, value)

    match node:
        case ast.Compare():
            for which, operator in enumerate(node.ops):
                other = SWAPPED[type(operator)].__name__
                yield f"{type(operator).__name__} -> {other}", swap_comparison(which)
        case ast.BoolOp() | ast.BinOp() | ast.AugAssign() if type(node.op) in SWAPPED:
            yield f"{type(node.op).__name__} -> {SWAPPED[type(node.op)].__name__}", swap_operator
        case ast.UnaryOp(op=ast.Not()):
            yield "not left out", set_to("op", ast.UAdd())
        case ast.Constant(value=bool(value)):
            yield f"{value} -> {not value}", set_to("value", not value)
        case ast.Constant(value=int(value)):
            yield f"{value} -> {value + 1}", set_to("value", value + 1)
        case ast.Constant(value=float(value)):
            yield f"{value} -> {2 * value + 1}", set_to("value", 2 * value + 1)
        case ast.If() | ast.IfExp() | ast.While():
            if not isinstance(node, ast.While):
                yield "condition -> True", set_to("test", ast.Constant(True))
            yield "condition -> False", set_to("test", ast.Constant(False))
        case ast.Raise() | ast.AugAssign():
            yield f"{type(node).__name__.lower()} left out", _left_out
        case ast.Expr(value=ast.Call()):
            yield "call left out", _left_out


def _left_out(twin: Any) -> None:
    """Turn a statement into one that does nothing."""
    twin.__class__ = ast.Expr
    for name in list(vars(twin)):
        if name not in ("lineno", "col_offset", "end_lineno", "end_col_offset"):
            delattr(twin, name)
    twin.value = ast.Constant(None)


def passes(tests: tuple[str, ...], limit: float) -> bool:
    """Whether the tests pass in a child process, within `limit` seconds of its processor."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            _run(tests, limit)
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _run(tests: tuple[str, ...], limit: float) -> None:
    import pytest

    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    signal.setitimer(signal.ITIMER_PROF, limit)  # its signal ends the process
    # without the options of the project: the checks of shapes would take most of the time
    os._exit(
        int(pytest.main(["-x", "-q", "-o", "addopts=", "-p", "no:cacheprovider", "-p", "no:xdist", *tests]))
    )


def main() -> None:
    """Run the tests of each module on its mutants."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--most", type=int, default=100, help="Mutants of each module, drawn at random.")
    parser.add_argument("--only", default="", help="Only modules whose path contains this.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        sources = Path(
            shutil.copytree(ROOT / "src", Path(place, "src"), ignore=shutil.ignore_patterns("__pycache__"))
        )
        os.environ["PYTHONPATH"] = str(sources)
        sys.path.insert(0, str(sources))
        sys.dont_write_bytecode = True
        os.chdir(ROOT)
        for name in PRELOADED:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        for module, tests in TESTS.items():
            if arguments.only in module:
                _measure(module, tests, sources / module, arguments.most)


def _measure(module: str, tests: tuple[str, ...], file: Path, most: int) -> None:
    source = file.read_text()
    everything = list(mutants(source))
    chosen = random.Random(0).sample(everything, min(most, len(everything)))  # noqa: S311 - not for secrets
    started = time.perf_counter()
    if not passes(tests, 3600):
        raise SystemExit(f"{module}: its tests fail without a mistake")
    limit = SLOWER * (time.perf_counter() - started)
    survived = []
    for mutant in sorted(chosen, key=lambda one: one.line):
        file.write_text(mutant.text)
        if passes(tests, limit):
            survived.append(mutant)
            print(f"{module}:{mutant.line}: {mutant.change}", flush=True)
    file.write_text(source)
    killed = len(chosen) - len(survived)
    print(f"{module}: {killed} of {len(chosen)} killed, {len(everything)} in all", flush=True)
    _write(module, tests, len(everything), len(chosen), survived, source.splitlines())


def _write(
    module: str, tests: tuple[str, ...], count: int, tried: int, survived: list[Mutant], lines: list[str]
) -> None:
    """Put the section of one module into the results, in the place of an older one."""
    heading = [
        "# Mistakes that tests notice",
        "",
        "Made by `benchmarks/mutants.py`. Each mutant is a module with one small mistake, on which the tests named",
        "run. Survivors are listed with what stands in their line. Where fewer were tried than there are, they were",
        f"drawn at random. Python {platform.python_version()}.",
    ]
    old = TABLE.read_text().split("\n## ")[1:] if TABLE.exists() else []
    sections = {text.split("\n", 1)[0].strip("`"): text.rstrip("\n") for text in old}
    named = ", ".join(f"`{name}`" for name in tests)
    found = [
        f"`{module}`",
        "",
        f"{tried - len(survived)} of {tried} mutants killed, of {count} that there are, by {named}.",
    ]
    if survived:
        found += ["", "| line | change | text |", "| ---: | --- | --- |"]
        found += [
            f"| {one.line} | {one.change} | `{lines[one.line - 1].strip().replace('|', '&#124;')}` |"
            for one in survived
        ]
    sections[module] = "\n".join(found)
    ordered = [sections[name] for name in TESTS if name in sections]
    TABLE.write_text("\n".join(heading) + "".join(f"\n\n## {text}" for text in ordered) + "\n")


if __name__ == "__main__":
    main()
