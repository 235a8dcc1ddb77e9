"""What a method is: hyper-parameters in its fields, the algorithm in one function."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

from torch import Tensor, nn

from obliq.argument_types import require_field_types
from obliq.data import Examples, Splits
from obliq.errors import ModelError
from obliq.quantization import state_digest
from obliq.run import Run
from obliq.training.passes import Passes, SetSizes
from obliq.training.prediction import accuracy

Search = Mapping[str, tuple[Any, ...]]
"""What a benchmark tries when it tunes a method: values for some of its fields, in all combinations."""

Access = Literal["retain set", "statistics", "nothing"]
"""What a method reads of the data that remain: the samples, statistics of them that could be computed once and shipped
with the network, or nothing. Forget and holdout samples are not counted."""

UsedAccess = Literal["retain set", "part of the retain set", "statistics", "nothing"]
"""The same for a method with its settings, which can keep it to a part of the retain set."""

TRIALS = 6
"""How many combinations every `search` has. A method that is tuned more often than another looks better for that
reason alone, so a comparison gives each the same number of trials."""

LARGEST_DROP = 5.0
"""Points of accuracy that an unlearned network may lose on samples that remain. Of more than 170 networks
that were retrained in the committed suites, two lose more on retained or test samples (6.3 and 5.6), and the others at
most 4.6."""

COMPARED = 2000
"""Samples on which such a loss is measured, at most."""


def keeps_accuracy(network: nn.Module, retain: Examples, run: Run) -> Callable[[], bool]:
    """A check whether a network, as it changes, has lost at most `LARGEST_DROP` on `COMPARED` retained samples."""
    watched = some_of(retain, COMPARED)
    least = accuracy(network, watched, run.device) - LARGEST_DROP
    return lambda: accuracy(network, watched, run.device) >= least


def some_of(examples: Examples, count: int) -> Examples:
    """At most `count` samples: one in every so many, or at even distances where samples are in the order of classes.

    One in every so many leaves out up to half of the samples at the end. That costs nothing in an order that has
    nothing to do with classes, and it decides what methods compute; in the order of classes, whole ones would be lost.
    """
    labels = examples.labels
    if len(examples) > count and labels[0] != labels[-1] and bool((labels[1:] >= labels[:-1]).all()):
        return examples.spread(count)
    return Examples(examples.collection, examples.indices[:: max(1, len(examples) // count)][:count])


@runtime_checkable
class Method(Protocol):
    """An unlearning method: a final frozen dataclass with this one function.

    `tests/methods/test_contract.py` checks the contract for every registered method. The given network is left as it
    was. The same seed gives the same integers. The result has the same layers, with finite values and positive
    steps. The test set is never read.

    A method with something to tune names it in a class variable `search` of type `Search`, with `TRIALS`
    combinations. A method that reads less than the retain set states so in a class variable `access`. One whose cost
    is known beforehand states it in a function `count_passes`, see `Counted`.

    Attributes:
        version: of what it computes, from 1. Raise it when the same fields, seed and data give another network;
            results under the old version then no longer count as current.
    """

    if TYPE_CHECKING:  # at run time, `issubclass` takes protocols of functions alone
        version: ClassVar[int]

    def unlearn(self, model: nn.Module, splits: Splits, run: Run) -> nn.Module:
        """A new network that should behave as if `splits.forget` had not been trained on."""


@runtime_checkable
class Counted(Protocol):
    """A method that counts beforehand how often samples will pass through the network."""

    def count_passes(self, sizes: SetSizes) -> Passes:
        """The passes of single samples with these settings, see `obliq.training.passes`.

        `tests/methods/test_passes.py` compares them with those that are made.
        """


def access_of(kind: type[Method]) -> Access:
    """What a method reads of the data that remain; the retain set unless it states less."""
    access: Access = getattr(kind, "access", "retain set")
    return access


def access_with(kind: type[Method], settings: Mapping[str, object]) -> UsedAccess:
    """What a method with these settings reads of the data that remain.

    A `retain_limit` above 0 keeps it to a part of the retain set, and so does a `retain_share` below 1.
    """
    access = access_of(kind)
    limit, share = settings.get("retain_limit"), settings.get("retain_share")
    limited = (isinstance(limit, int) and limit > 0) or (isinstance(share, int | float) and share < 1)
    return "part of the retain set" if access == "retain set" and limited else access


def run_method(method: Method, model: nn.Module, splits: Splits, run: Run) -> nn.Module:
    """What a method makes of a network, which must still be as it was.

    A network that was changed in place would be the start of the next method, and the comparison after it.

    Raises:
        ModelError: when the method changed the given network, or returned something else than a network.
        ObliqError: when a field of the method holds something else than it is declared as.
    """
    if dataclasses.is_dataclass(method):  # a method of a user's need not be one
        require_field_types(method)
    before = _content(model)
    result = method.unlearn(model, splits, run)
    name = type(method).__name__
    if not isinstance(result, nn.Module):
        raise ModelError(f"method {name} returned {type(result).__name__}; expected a network (nn.Module)")
    if _content(model) != before:
        raise ModelError(
            f"method {name} changed the network that it was given; expected a new one, for instance from "
            "copy.deepcopy(model)"
        )
    return result


def _content(model: nn.Module) -> str:
    """The digest of every tensor, latent weights included; a user's module may keep other things in its state."""
    return state_digest(
        {}, {name: one for name, one in model.state_dict().items() if isinstance(one, Tensor)}
    )
