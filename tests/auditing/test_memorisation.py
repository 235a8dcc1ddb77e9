import numpy as np
import pytest
from scipy.special import logit

from obliq.auditing import ReferenceAnswers, memorisation_scores
from obliq.errors import AuditError


def test_scores_are_the_difference_of_the_means() -> None:
    confidence = np.array([[0.9, 0.6], [0.2, 0.5], [0.7, 0.5], [0.4, 0.8]])
    out = np.array([[False, True], [True, False], [False, False], [True, True]])
    answers = ReferenceAnswers(margin=logit(confidence), out=out)
    assert memorisation_scores(answers) == pytest.approx([0.8 - 0.3, 0.5 - 0.7])
    assert memorisation_scores(ReferenceAnswers(margin=answers.margin, out=~out)) == pytest.approx(
        [-0.5, 0.2]
    )


def test_samples_may_be_taken_in_any_order() -> None:
    generator = np.random.default_rng(0)
    first = generator.random((1, 30)) < 0.5
    answers = ReferenceAnswers(margin=generator.normal(size=(2, 30)), out=np.concatenate([first, ~first]))
    order = generator.permutation(30)
    assert memorisation_scores(answers.take(order)) == pytest.approx(memorisation_scores(answers)[order])
    assert (answers.networks, answers.outsiders, len(answers.take(order[:7]))) == (2, 1, 7)


def test_networks_that_saw_nothing_memorise_nothing() -> None:
    unseen = ReferenceAnswers(margin=np.zeros((2, 5)), out=np.ones((2, 5), dtype=bool))
    with pytest.raises(AuditError, match="no reference network saw"):
        memorisation_scores(unseen)
