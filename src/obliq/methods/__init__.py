"""The methods of the field, one file each, by the name that the command line gives them."""

from importlib.metadata import entry_points

from obliq.errors import ModelError
from obliq.methods.contract import Method
from obliq.methods.fine_tune import FineTune
from obliq.methods.orthogonal_entropy import OrthogonalEntropy
from obliq.methods.retrain import Retrain

BUILT_IN: dict[str, type[Method]] = {
    "oeu": OrthogonalEntropy,
    "fine-tune": FineTune,
    "retrain": Retrain,
}

ENTRY_POINTS = "obliq.methods"


def available() -> dict[str, type[Method]]:
    """Built-in methods, then those of installed packages.

    Raises:
        ModelError: when an installed package takes a name that is in use, or its method does not load.
    """
    methods = dict(BUILT_IN)
    for found in entry_points(group=ENTRY_POINTS):
        if found.name in methods:
            raise ModelError(
                f"the installed method {found.value} calls itself '{found.name}'; expected a free name"
            )
        try:
            methods[found.name] = found.load()
        except Exception as error:
            raise ModelError(
                f"the installed method '{found.name}' ({found.value}) does not load: {error}"
            ) from error
    return methods


__all__ = ["BUILT_IN", "FineTune", "Method", "OrthogonalEntropy", "Retrain", "available"]
