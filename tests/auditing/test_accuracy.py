import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score

from obliq.auditing import measure_utility
from obliq.auditing.intervals import wilson
from obliq.errors import AuditError
from tests.auditing.synthetic import network


@given(samples=st.integers(1, 5000), share=st.floats(0, 1))
def test_wilson_agrees_with_scipy(samples: int, share: float) -> None:
    hits = round(share * samples)
    ours = wilson(100 * hits / samples, samples)
    theirs = binomtest(hits, samples).proportion_ci(method="wilson")
    assert (ours.low, ours.high) == pytest.approx((100 * theirs.low, 100 * theirs.high), abs=1e-7)


def test_accuracies_agree_with_sklearn() -> None:
    answers = network(3.0)
    measured = measure_utility(answers)
    for share, part in (
        (measured.forget, answers.forget),
        (measured.retain, answers.retain),
        (measured.test, answers.test),
    ):
        assert share.value == pytest.approx(100 * accuracy_score(part.labels.numpy(), part.predictions))
        assert share.interval == wilson(share.value, len(part))
        assert share.interval.low < share.value < share.interval.high
    assert measured.unlearning.value == 100 - measured.forget.value
    assert measured.unlearning.interval.low == pytest.approx(100 - measured.forget.interval.high)


def test_forgotten_classes_do_not_count_for_test_accuracy() -> None:
    answers = network(3.0)
    measured = measure_utility(answers, {1, 3})
    kept = np.isin(answers.test.labels.numpy(), [0, 2])
    assert measured.test.interval == wilson(measured.test.value, int(kept.sum()))
    assert measured.test.value == pytest.approx(100 * answers.test.correct[kept].mean())
    with pytest.raises(AuditError, match="every test sample"):
        measure_utility(answers, {0, 1, 2, 3})
