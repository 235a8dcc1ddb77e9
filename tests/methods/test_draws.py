"""Random draws are counted, whichever generator they come from, and nothing else is."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from obliq.data import Splits
from obliq.methods import FineTune
from obliq.run import Run
from tests.methods.draws import random_draws

OWN = torch.Generator()
DRAWN: dict[str, Callable[[], Tensor]] = {
    "global": lambda: torch.rand(2),
    "own": lambda: torch.randn(2, generator=OWN),
    "order": lambda: torch.randperm(3, generator=OWN),
    "labels": lambda: torch.randint(3, (2,), generator=OWN),
    "in place": lambda: torch.empty(2).exponential_(generator=OWN),
    "multinomial": lambda: torch.multinomial(torch.ones(3), 1, generator=OWN),
    "dropout": lambda: nn.Dropout()(torch.ones(2)),
}


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN.keys())
def test_a_draw_is_counted(draw: Callable[[], Tensor]) -> None:
    with torch.random.fork_rng():
        assert random_draws(draw) == 1


def test_computing_and_seeding_draw_nothing() -> None:
    def compute() -> None:
        weight = torch.ones(2, 2, requires_grad=True)
        Run(seed=3).generator()
        nn.Dropout().eval()(weight @ weight).sum().backward()

    assert random_draws(compute) == 0


def test_draws_within_a_method_are_counted(original: nn.Module, splits: Splits) -> None:
    """The order of the samples of each epoch, and nothing else."""
    method = FineTune(epochs=3)
    assert random_draws(lambda: method.unlearn(original, splits, Run(seed=1))) == 3
