"""An exponential that stays finite is that of `math`, bit for bit, where this one is finite."""

import math

import pytest

from obliq.training.bounded_exponential import LARGEST_EXPONENT, bounded_exp


@pytest.mark.parametrize("exponent", [-1e9, -1.5, 0.0, 3.25, 709.0, LARGEST_EXPONENT])
def test_it_is_the_exponential(exponent: float) -> None:
    assert bounded_exp(exponent) == math.exp(exponent)


@pytest.mark.parametrize("exponent", [math.nextafter(LARGEST_EXPONENT, math.inf), 750.0, 1e308, math.inf])
def test_it_ends_at_a_finite_number(exponent: float) -> None:
    with pytest.raises(OverflowError):
        math.exp(min(exponent, 1e308))
    assert bounded_exp(exponent) == math.exp(LARGEST_EXPONENT) > 1e308
