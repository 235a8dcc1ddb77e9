"""Which code made a result: a digest over the modules that take part, without their comments.

Changed documentation leaves the digest as it is, and so does a method's `search`: it says which trials
are run, not what a trial does.
"""

import ast
import hashlib
from collections.abc import Collection, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from obliq.errors import ObliqError

OURS = "obliq"


def source_digest(modules: Iterable[str], alone: Collection[str] = ()) -> str:
    """SHA-256 over these modules and all that they import of this package and of their own.

    Args:
        modules: where a computation begins.
        alone: further modules, of which only a part is used: what they import is not looked at.

    Raises:
        ObliqError: for a module that is not in a file, such as `__main__`.
    """
    found: dict[str, str] = {}
    waiting = [*modules, *alone]
    packages = {OURS, *(name.partition(".")[0] for name in waiting)}
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        file = _file(name)
        if file is None:
            raise ObliqError(f"the code of module {name!r} is in no file; expected an importable module")
        tree = ast.parse(file.read_bytes())
        found[name] = ast.dump(_without_words(tree))
        imported = () if name in alone else _imports(tree, name, is_package=file.name == "__init__.py")
        waiting.extend(one for one in imported if one.partition(".")[0] in packages and _file(one))
    content = hashlib.sha256()
    for name in sorted(found):
        content.update(f"{name}\0{found[name]}\0".encode())
    return content.hexdigest()


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
