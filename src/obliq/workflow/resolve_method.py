"""The method that a caller chose: by its name, or as an object with settings."""

from dataclasses import is_dataclass

from obliq.argument_types import require_field_types
from obliq.errors import ModelError
from obliq.io.known_names import unknown_name
from obliq.methods import Method, Retrain, available_methods


def resolve_method(method: str | Method) -> Method:
    """The method itself, or the one of a name with its default settings.

    Args:
        method: a name that `available_methods` lists, or a method.

    Raises:
        ModelError: for an unknown name, for what is no method, and for retraining by its name alone.
        ObliqError: for a setting of another type than the method declares.
    """
    if not isinstance(method, str):
        if not isinstance(method, Method) or isinstance(method, type):
            name = method.__name__ if isinstance(method, type) else type(method).__name__
            hint = f"{name}()" if isinstance(method, type) else "a method such as obliq.Calibrated()"
            raise ModelError(f"the method is {name}; expected {hint} or a name")
        if is_dataclass(method):
            require_field_types(method)
        return method
    methods = available_methods()
    if method not in methods:
        raise ModelError(
            f"{unknown_name('method', method, methods)} expected one of {', '.join(sorted(methods))}"
        )
    if methods[method] is Retrain:
        raise ModelError(
            "'retrain' needs the original's recipe; expected obliq.retrain(model, retain, recipe)"
        )
    return methods[method]()
