"""Which code made a result: a digest over the modules that take part, without their comments.

Changed documentation leaves the digest as it is, and so does a method's `search`: it says which trials
are run, not what a trial does.
"""

import ast
import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from obliq.errors import ObliqError

OURS = "obliq"


@dataclass(frozen=True)
class Module:
    """A module as far as its digest goes.

    Attributes:
        digest: SHA-256 over its code.
        imports: the names of modules that it imports.
    """

    digest: str
    imports: tuple[str, ...]


@dataclass
class Sources:
    """Reads each module once."""

    _read: dict[str, Module | None] = field(default_factory=dict, repr=False)

    def digest(self, modules: Iterable[str], alone: Collection[str] = ()) -> str:
        """SHA-256 over these modules and all that they import of this package and of their own.

        Args:
            modules: where a computation begins.
            alone: further modules, of which only a part is used: what they import is not looked at.

        Raises:
            ObliqError: for a module that is not in a file, such as `__main__`.
        """
        found: dict[str, str] = {}
        waiting = [*modules, *alone]
        given = frozenset(waiting)
        packages = {OURS, *(name.partition(".")[0] for name in waiting)}
        while waiting:
            name = waiting.pop()
            if name in found or name.partition(".")[0] not in packages:
                continue
            module = self._module(name)
            if module is None and name in given:
                raise ObliqError(f"the code of module {name!r} is in no file; expected an importable module")
            if module is not None:
                found[name] = module.digest
                waiting.extend(() if name in alone else module.imports)
        return hashlib.sha256(
            "".join(f"{name} {found[name]}\n" for name in sorted(found)).encode()
        ).hexdigest()

    def _module(self, name: str) -> Module | None:
        if name not in self._read:
            file = _file(name)
            self._read[name] = None if file is None else _module(name, file)
        return self._read[name]


def _module(name: str, file: Path) -> Module:
    tree = ast.parse(file.read_bytes())
    imports = tuple(_imports(tree, name, is_package=file.name == "__init__.py"))
    return Module(hashlib.sha256(ast.dump(_without_words(tree)).encode()).hexdigest(), imports)


def _file(module: str) -> Path | None:
    try:
        found = find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None
    if found is None or found.origin is None or not found.origin.endswith(".py"):
        return None
    return Path(found.origin)


def _imports(tree: ast.Module, module: str, *, is_package: bool) -> Iterator[str]:
    """Modules that may be meant: `from a import b` names a, and a.b if that is one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")[
                    : None if is_package and node.level == 1 else -node.level + is_package
                ]
                base = ".".join([*parents, *([base] if base else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _without_words(tree: ast.Module) -> ast.Module:
    """The tree without docstrings and without the search spaces of methods."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _is_text(part) and not _is_search(part)]
    return tree


def _is_text(part: ast.stmt) -> bool:
    return (
        isinstance(part, ast.Expr)
        and isinstance(part.value, ast.Constant)
        and isinstance(part.value.value, str)
    )


def _is_search(part: ast.stmt) -> bool:
    return (
        isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name) and part.target.id == "search"
    )
