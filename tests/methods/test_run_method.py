"""A method that breaks the contract on the network it was given is noticed when it runs."""

import copy
from dataclasses import dataclass
from typing import ClassVar

import pytest
from torch import nn

from obliq.data import Splits
from obliq.errors import ModelError
from obliq.methods import run_method
from obliq.run import Run


@dataclass(frozen=True, kw_only=True)
class Halving:
    """Halves every weight, in the given network or in a copy."""

    in_place: bool
    version: ClassVar[int] = 1

    def unlearn(self, model: nn.Module, splits: Splits, run: Run) -> nn.Module:
        network = model if self.in_place else copy.deepcopy(model)
        for parameter in network.parameters():
            parameter.data *= 0.5
        return network


class WithState(nn.Linear):
    """Keeps something else than tensors in its state, as modules of users may."""

    def get_extra_state(self) -> dict[str, int]:
        return {"calls": 1}

    def set_extra_state(self, state: dict[str, int]) -> None: ...


def test_a_network_that_was_changed_in_place_is_noticed(splits: Splits) -> None:
    network = WithState(2, 2)
    assert run_method(Halving(in_place=False), network, splits, Run()) is not network
    with pytest.raises(ModelError, match=r"method Halving changed .* copy\.deepcopy"):
        run_method(Halving(in_place=True), network, splits, Run())


class Plain:
    """A method of a user's that is no dataclass."""

    version = 1

    def unlearn(self, model: nn.Module, splits: Splits, run: Run) -> nn.Module:
        return copy.deepcopy(model)


def test_a_method_need_not_be_a_dataclass(original: nn.Module, splits: Splits) -> None:
    assert run_method(Plain(), original, splits, Run()) is not original
