"""The attack IAM: between reference networks and the original."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import gumbel_r

from obliq.auditing import audit_models
from obliq.auditing.measure import AuditedModel
from obliq.auditing.reference_attacks import iam_evidence, iam_separation, retrained_references
from tests.auditing.synthetic import network, three


def published(target: np.ndarray, original: np.ndarray, shadows: np.ndarray) -> np.ndarray:
    """The complement of the published score, written down as the paper has it, in probabilities."""

    def signal(margin: np.ndarray) -> np.ndarray:
        return -np.log(0.01 - np.log(1e-5 + expit(margin)))

    shares = np.linspace(0, 1, 100)
    between = np.stack([signal(shadows) + a * (signal(original) - signal(shadows)) for a in shares[:-1]])
    scale = np.sqrt(6) * between.std(axis=(1, 2))[:, None] / np.pi
    location = between.mean(axis=1) - 0.5772 * scale
    found = gumbel_r.cdf(signal(target)[None], location, scale)
    return (shares[1:, None] * found).sum(axis=0) / shares[1:].sum()


@pytest.mark.parametrize("references", [1, 4])
def test_the_evidence_is_the_published_one(references: int) -> None:
    generator = np.random.default_rng(0)
    target, original = generator.normal(3, 4, (2, 60))
    shadows = generator.normal(1, 3, (references, 60))
    found = iam_evidence(target, original, shadows)
    assert found == pytest.approx(published(target, original, shadows))
    assert (found >= 0).all()
    assert (found <= 1).all()
    assert (iam_evidence(target + 1, original, shadows) >= found).all()


def test_equal_and_extreme_confidences_are_numbers() -> None:
    margin = np.array([-1e4, 0.0, 1e4])
    assert np.isfinite(iam_evidence(margin, margin, margin[None])).all()
    same = np.zeros(3)
    assert np.isfinite(iam_evidence(same, same, same[None])).all()


def test_the_original_is_recognised_and_retrained_networks_are_alike() -> None:
    """The value of a retrained network need not be 50: the way to the original is longer for forgotten samples."""
    original, references = network(4.0, 1), retrained_references([network(2.0, 5), network(2.0, 6)])
    before = iam_separation(original, original, references)
    after, other = (iam_separation(network(2.0, seed), original, references) for seed in (7, 8))
    assert before.auc > 70
    assert after.interval.low < other.auc < after.interval.high < 50


def test_an_audit_has_it_with_two_retrained_networks() -> None:
    one = three()
    two = [*one, AuditedModel(kind="retrained", name="retrained 2", answers=network(2.0, 9))]
    assert audit_models(one, precision="W4A4").unlearned[0].iam_auc is None
    entry = audit_models(two, precision="W4A4").unlearned[0]
    assert entry.iam_auc is not None
    assert entry.intervals["iam_auc"].low < entry.iam_auc < entry.intervals["iam_auc"].high
