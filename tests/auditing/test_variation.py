import numpy as np
import pytest

from obliq.auditing.variation import (
    MOST_REFERENCES,
    estimate_variation,
    expected_variance,
    reach,
    references_to_exceed,
)
from obliq.errors import AuditError


@pytest.mark.parametrize("count", [2, 4, 8])
def test_one_more_value_lies_within_as_often_as_promised(count: int) -> None:
    """Three standard errors of 2,000 draws around 95 %."""
    generator = np.random.default_rng(count)
    within = []
    for values in generator.normal(3.0, 2.0, (2000, count + 1)):
        interval = estimate_variation(values[:count].tolist(), 1e-9).interval(0.05)
        within.append(interval.low <= values[count] <= interval.high)
    assert 0.935 <= np.mean(within) <= 0.965


@pytest.mark.parametrize("dependence", [1.0, 2.0, 6.0])
def test_pooled_with_what_samples_show_it_errs_little_where_these_mislead(dependence: float) -> None:
    """Exact where networks vary twice as independent samples do; less certain below, a little more above."""
    generator, samples = np.random.default_rng(5), 100
    within = []
    for _ in range(600):
        common = generator.normal(0, np.sqrt((dependence - 1) / samples), (5, 1))
        parts = generator.normal(0, 1, (5, samples)) + common
        values = parts.mean(axis=1)
        found = estimate_variation(values[:4].tolist(), 1e-9, expected_variance([parts[:4]]))
        interval = found.interval(0.05)
        within.append(interval.low <= values[4] <= interval.high)
    assert np.mean(within) >= {1.0: 0.96, 2.0: 0.92, 6.0: 0.86}[dependence]


def test_equal_values_have_the_resolution_as_deviation() -> None:
    found = estimate_variation([100.0] * 4, 0.5)
    assert found.deviation == 0.5
    assert found.interval(0.05, "low").low < 99


def test_fewer_than_two_values_show_nothing() -> None:
    with pytest.raises(AuditError, match="1 retrained networks; expected two or more"):
        estimate_variation([1.0], 0.1)


def test_references_that_would_decide() -> None:
    for deviations in (2.8, 4.0, 9.0):
        needed = references_to_exceed(deviations, 0, 0.01)
        assert needed is not None
        assert reach(needed, needed - 1, 0.01) < deviations <= reach(needed - 1, needed - 2, 0.01)
    assert references_to_exceed(2.0, 0, 0.01) is None
    assert references_to_exceed(1e9, 0, 0.01) == 2
    assert MOST_REFERENCES > 4


def test_known_answers() -> None:
    alone = estimate_variation([1.0, 3.0], 0.1)
    assert (alone.centre, alone.deviation, alone.freedom, alone.count) == (2, pytest.approx(2**0.5), 1, 2)
    pooled = estimate_variation([1.0, 3.0], 0.1, 0.5)
    assert (pooled.deviation, pooled.freedom) == (pytest.approx(0.8**0.5), 5)  # (4 * .5 + 1 * 2) / 5
    part = np.array([[1.0, 2.0], [3.0, 6.0]])  # residuals of 1 and 2, twice: 10 / 1 / 2^2
    assert (expected_variance([part]), expected_variance([part, part], 4)) == (5.0, 20.0)
    assert expected_variance([np.array([[0.0], [0.0], [3.0]])]) == 6.0  # 2 * (1 + 1 + 4) / 2
    with pytest.raises(AuditError, match="1 retrained networks"):
        expected_variance([part[:1]])
    # Student's t with 3 degrees of freedom: 3.182446 for 95 % on both sides, 2.353363 on one
    for sides, quantile in (("both", 3.182446), ("low", 2.353363), ("high", 2.353363)):
        assert reach(4, 3, 0.05, sides) == pytest.approx(quantile * 1.25**0.5, rel=1e-6)
    assert reach(4, 3, 0.05) == reach(4, 3, 0.05, "both")


def test_distances_are_exceeded_and_not_reached() -> None:
    for count in (2, 5, 32):
        limit = reach(count, 4 + count - 1, 0.01)
        assert references_to_exceed(1.0001 * limit, 4, 0.01) == count
        assert references_to_exceed(-limit, 4, 0.01) == (None if count == 32 else count + 1)
