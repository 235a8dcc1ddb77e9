"""The small mistakes that `benchmarks/mutants.py` puts into a module: which there are, and how one is made and run."""

import ast
import dataclasses
import gc
import hashlib
import sys
import types
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    """One mistake in a module.

    Attributes:
        part: digest of the function, class or statement of the module that the mistake is in.
        line: where it is.
        text: what stands in this line.
        change: what is changed, in words; numbered where equal lines of the part allow it in several places.
        place: of the changed node among all nodes of the tree, and the number of the change there.
    """

    part: str
    line: int
    text: str
    change: str
    place: tuple[int, int]


def mutants_of(source: str) -> list[Mutant]:
    """Every mutant of a module, in the order of its lines.

    The texts of messages, arguments of decorators and annotations are left as they are.
    """
    tree = ast.parse(source)
    lines = source.splitlines()
    untouched = set(_untouched(tree))
    parts = {}
    for statement in tree.body:
        digest = hashlib.sha256(ast.unparse(statement).encode()).hexdigest()[:16]
        parts |= dict.fromkeys(ast.walk(statement), digest)
    found = []
    for place, node in enumerate(ast.walk(tree)):
        if node in untouched or node not in parts:
            continue
        line = getattr(node, "lineno", 0)
        found += [
            Mutant(parts[node], line, lines[line - 1].strip(), words, (place, which))
            for which, (words, _) in enumerate(_changes(node))
        ]
    found.sort(key=lambda one: one.line)
    seen = Counter[tuple[str, str, str]]()
    for index, one in enumerate(found):
        alike = (one.part, one.text, one.change)
        seen[alike] += 1
        if seen[alike] > 1:
            found[index] = dataclasses.replace(one, change=f"{one.change} ({seen[alike]})")
    return found


def mutated(source: str, mutant: Mutant | None) -> ast.Module:
    """The module with one mistake, or without any; line numbers stay as they are."""
    tree = ast.parse(source)
    if mutant is not None:
        place, which = mutant.place
        node = list(ast.walk(tree))[place]
        list(_changes(node))[which][1](node)
        ast.fix_missing_locations(tree)
    return tree


def _untouched(tree: ast.Module) -> Iterator[ast.AST]:
    """Texts with values in them, what is raised, decorators and annotations."""
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            if found := getattr(node, name, None):
                yield from ast.walk(found)
        match node:
            case ast.JoinedStr():
                yield from ast.walk(node)
            case ast.Raise(exc=ast.Call() as raised):
                yield from ast.walk(raised)
            case ast.FunctionDef() | ast.ClassDef():
                for decorator in node.decorator_list:
                    yield from ast.walk(decorator)


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

    def undo(twin: Any) -> None:
        twin.operand = ast.UnaryOp(ast.Not(), twin.operand)

    match node:
        case ast.Compare():
            for which, operator in enumerate(node.ops):
                other = SWAPPED[type(operator)].__name__
                yield f"{type(operator).__name__} -> {other}", swap_comparison(which)
        case ast.BoolOp() | ast.BinOp() | ast.AugAssign() if type(node.op) in SWAPPED:
            yield f"{type(node.op).__name__} -> {SWAPPED[type(node.op)].__name__}", swap_operator
        case ast.UnaryOp(op=ast.Not()):
            yield "not left out", undo
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
        case ast.Raise():
            yield "raise left out", _left_out
        case ast.Expr(value=ast.Call()):
            yield "call left out", _left_out
    if isinstance(node, ast.AugAssign):
        yield "augassign left out", _left_out


def _left_out(twin: Any) -> None:
    """Turn a statement into one that does nothing."""
    twin.__class__ = ast.Expr
    for name in list(vars(twin)):
        if name not in ("lineno", "col_offset", "end_lineno", "end_col_offset"):
            delattr(twin, name)
    twin.value = ast.Constant(None)


def put_into(file: Path, source: str, mutant: Mutant | None) -> None:
    """Run the module with a mistake in the place of what was imported: others keep its functions and classes."""
    code = compile(mutated(source, mutant), str(file), "exec")
    users = [vars(one) for name, one in sys.modules.items() if name.split(".")[0] in ("obliq", "tests")]
    copies = {
        id(one): one for user in users for one in list(user.values()) if isinstance(one, types.ModuleType)
    }
    copies |= {id(one): one for one in sys.modules.values()}
    for one in list(copies.values()):  # a test may have loaded the file once more
        if getattr(one, "__file__", None) == str(file):
            _replace(vars(one), code, users)


def _replace(values: dict[str, Any], code: types.CodeType, users: list[dict[str, Any]]) -> None:
    before, grafted = dict(values), {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(code, values)  # noqa: S102 - our own
    for key, was in before.items():
        now = values[key]
        if now is was or key.startswith("__"):
            continue
        own = getattr(was, "__module__", None) == values["__name__"]
        if own and isinstance(was, type):
            _graft(was, now)
            values[key] = grafted[now] = was
        elif own and isinstance(was, types.FunctionType) and not was.__closure__:
            was.__code__, was.__defaults__, was.__kwdefaults__ = (
                now.__code__,
                now.__defaults__,
                now.__kwdefaults__,
            )
            values[key] = was
        else:
            for user in users:
                if user.get(key) is was:
                    user[key] = now
    for one in gc.get_objects():  # constants of the module; what was there before is frozen
        if type(one) in grafted:
            object.__setattr__(one, "__class__", grafted[type(one)])


def _graft(was: type, now: type) -> None:
    """Give a class the attributes of another."""
    for name, value in vars(now).items():
        if callable(value) or isinstance(value, property | classmethod | staticmethod) or name[:2] != "__":
            setattr(was, name, value)
