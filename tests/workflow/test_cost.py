"""The estimate of a method's cost next to that of retraining."""

import pytest

from obliq.data import Splits
from obliq.methods import Calibrated, FineTune, Retrain
from obliq.training.loop import Recipe
from obliq.workflow.cost import CostEstimate, estimate_cost


def test_passes_stand_beside_those_of_retraining(splits: Splits) -> None:
    found = estimate_cost(FineTune(epochs=2), splits, Recipe(epochs=4))
    retain = len(splits.retain)
    assert found == CostEstimate(least=2 * retain, most=2 * retain, retraining=4 * retain)


def test_rounds_make_a_range_and_a_method_that_does_not_count_has_no_estimate(splits: Splits) -> None:
    found = estimate_cost(Calibrated(epochs=2, rounds=3), splits, Recipe(epochs=3))
    assert found is not None
    assert found.most == 3 * found.least
    assert estimate_cost(Retrain(), splits, Recipe()) is None


@pytest.mark.parametrize(
    ("least", "most", "words"),
    [
        (50, 100, ""),
        (
            50,
            150,
            "this may cost more than retraining: 50 to 150 passes of samples through the network, retraining 100 "
            "(ratio 0.5 to 1.5)",
        ),
        (
            1_150,
            1_150,
            "this will cost more than retraining: 1,150 passes of samples through the network, retraining "
            "100 (ratio 11.5)",
        ),
    ],
)
def test_a_warning_states_both_estimates(least: int, most: int, words: str) -> None:
    assert CostEstimate(least=least, most=most, retraining=100).warning == words
