"""How types and shapes are checked while testing: beartype, with an int accepted where a float is asked.

jaxtyping binds the arguments of every call by `inspect`, so that it can compare the sizes of arrays in them. Most
functions have no array in their signature. Beartype alone checks them here, in a few percent of the time.
"""

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

import jaxtyping
from beartype import BeartypeConf, beartype

Function = Callable[..., Any]

checked = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=jaxtyping.TypeCheckError))
with_sizes = jaxtyping.jaxtyped


def has_sizes(hint: object, names: dict[str, Any]) -> bool:
    """Whether an annotation holds a type of jaxtyping; one that cannot be evaluated is taken as if it did."""
    if isinstance(hint, typing.ForwardRef):
        hint = hint.__forward_arg__
    if isinstance(hint, str):
        try:
            hint = eval(hint, names)
        except Exception:
            return True
    if isinstance(hint, list):  # the parameters of a Callable
        return any(has_sizes(one, names) for one in hint)
    if get_origin(hint) is Literal:
        return False
    if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(has_sizes(one, names) for one in get_args(hint))


def without_sizes(function: Function, typechecker: Callable[[Function], Function]) -> Function:
    """Check the types of arguments and result, unless the checks are switched off."""
    typed = typechecker(function)

    @functools.wraps(function)
    def wrapper(*given: Any, **named: Any) -> Any:
        # The hook of jaxtyping 0.3.6 checks what `no_type_check` marks, too; the mark comes after this decorator.
        unchecked = jaxtyping.config.jaxtyping_disable or hasattr(wrapper, "__no_type_check__")
        return (function if unchecked else typed)(*given, **named)

    return wrapper


def check(given: Any, typechecker: Callable[[Function], Function]) -> Any:
    """Check every call of a function, or every object that a dataclass makes."""
    if dataclasses.is_dataclass(given) and isinstance(given, type):
        if not hasattr(given.__init__, "__wrapped__"):  # which a written one has, or an inherited one
            given.__init__ = check(given.__init__, typechecker)  # type: ignore[method-assign]
        return given
    if inspect.isfunction(given) and not inspect.isgeneratorfunction(given):
        names = given.__globals__
        if not any(has_sizes(hint, names) for hint in given.__annotations__.values()):
            return without_sizes(given, typechecker)
    return with_sizes(given, typechecker=typechecker)


def jaxtyped(*given: Any, **named: Any) -> Any:
    """Stand in for the decorator of this name, which jaxtyping's import hook looks up in its package."""
    if given or "typechecker" not in named:
        return with_sizes(*given, **named)
    return functools.partial(check, typechecker=named["typechecker"])


jaxtyping.jaxtyped = jaxtyped
