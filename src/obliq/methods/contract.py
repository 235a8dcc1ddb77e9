"""What a method is: hyper-parameters in its fields, the algorithm in one function."""

from typing import Protocol, runtime_checkable

from torch import nn

from obliq.data import Splits
from obliq.run import Run


@runtime_checkable
class Method(Protocol):
    """An unlearning method: a final frozen dataclass with this one function.

    The contract, checked for everything registered by `tests/methods/test_contract.py`: the given
    network is left as it was; the same seed gives the same integers; the result has the same layers,
    with finite values and positive steps; the test set is never read.
    """

    def unlearn(self, model: nn.Module, splits: Splits, run: Run) -> nn.Module:
        """A new network that is meant to behave as if `splits.forget` had not been trained on."""
