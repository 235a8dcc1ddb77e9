import math

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from obliq.auditing import ReferenceAnswers, ReferenceSignals, Separation, audit_models, rmia_separation
from obliq.auditing.reference_attacks import rmia_log_ratio
from obliq.errors import AuditError
from tests.auditing.synthetic import SIZES, network, references, three


def published_score(
    target: np.ndarray, out: np.ndarray, target_z: np.ndarray, out_z: np.ndarray, gamma: float
) -> np.ndarray:
    """The share of a population that x beats, written down as the paper has it, in probabilities."""

    def ratio(confidence: np.ndarray, reference: np.ndarray) -> np.ndarray:
        return confidence / (0.5 * ((1 + 0.3) * reference.mean(axis=0) + (1 - 0.3)))

    x, z = ratio(expit(target), expit(out)), ratio(expit(target_z), expit(out_z))
    return (x[:, None] / z[None, :] > gamma).mean(axis=1)


def test_the_ratio_is_the_published_one() -> None:
    generator = np.random.default_rng(0)
    target, out = generator.normal(2, 3, 50), generator.normal(1, 3, (2, 50))
    expected = np.log(expit(target) / (0.5 * (1.3 * expit(out).mean(axis=0) + 0.7)))
    assert rmia_log_ratio(target, out) == pytest.approx(expected)


@pytest.mark.parametrize("gamma", [1.0, 1.1])
def test_auc_is_that_of_the_published_score_over_a_population(gamma: float) -> None:
    generator = np.random.default_rng(1)
    sides = {name: generator.normal(centre, 2, 300) for name, centre in (("in", 3.0), ("out", 1.5))}
    out = {name: generator.normal(1.5, 1, (2, 300)) for name in sides}
    population, out_z = generator.normal(1.5, 2, 5000), generator.normal(1.5, 1, (2, 5000))
    scores = {name: published_score(sides[name], out[name], population, out_z, gamma) for name in sides}
    mine = Separation(*(rmia_log_ratio(sides[name], out[name]) for name in sides))
    assert mine.auc == pytest.approx(
        Separation(scores["in"], scores["out"]).auc, abs=2.0 if gamma > 1 else 0.1
    )
    order = np.argsort(rmia_log_ratio(sides["in"], out["in"]))
    assert (np.diff(scores["in"][order]) >= 0).all()


def test_gaussian_ratios_have_the_known_auc() -> None:
    """Against one and the same p(x), the ratio orders as the target's confidence does."""
    generator = np.random.default_rng(5)
    same = np.full((2, 4000), 1.0)
    forget, unseen = generator.normal(1.7, 1, 4000), generator.normal(1.0, 1, 4000)
    apart = Separation(rmia_log_ratio(forget, same), rmia_log_ratio(unseen, same))
    known = 100 * norm.cdf(0.7 / math.sqrt(2))
    assert apart.interval.low < known < apart.interval.high
    assert apart.auc == pytest.approx(Separation(forget, unseen).auc)


def test_no_signal_is_fifty_within_the_interval() -> None:
    apart = rmia_separation(network(2.0), references())
    assert apart.interval.low < 50 < apart.interval.high


def test_swapping_members_and_non_members_mirrors_around_fifty() -> None:
    apart = rmia_separation(network(4.0), references())
    swapped = Separation(apart.unseen, apart.forget)
    assert apart.auc > 60
    assert swapped.auc == pytest.approx(100 - apart.auc)
    assert swapped.interval.low == pytest.approx(100 - apart.interval.high)


def test_knowing_how_hard_each_sample_is_makes_the_attack_stronger() -> None:
    generator = np.random.default_rng(4)
    plain, relative = [], []
    for ahead in (2.0, 0.0):
        difficulty = generator.normal(0, 2, 2000)
        plain.append(difficulty + ahead + generator.normal(0, 0.5, 2000))
        relative.append(rmia_log_ratio(plain[-1], difficulty + generator.normal(0, 0.5, (2, 2000))))
    assert Separation(*relative).minus(Separation(*plain))[1].low > 5


def test_the_surer_the_others_are_the_less_confidence_says() -> None:
    others = np.linspace(-20, 20, 41)
    assert (np.diff(rmia_log_ratio(np.full(41, 1.0), others[None])) < 0).all()
    assert (np.diff(rmia_log_ratio(others, np.full((3, 41), 1.0))) > 0).all()


def test_samples_of_which_everybody_is_certain_do_not_tie() -> None:
    generator = np.random.default_rng(3)
    target, out = generator.normal(60, 5, 500), generator.normal(60, 5, (2, 500))
    assert (expit(target) == 1).all()
    assert len(np.unique(rmia_log_ratio(target, out))) == 500


def test_an_audit_with_references_has_both_numbers_and_their_intervals() -> None:
    measured = audit_models(three(), precision="W4A4", references=references())
    original, unlearned, retrained = measured.entries
    for entry in measured.entries:
        assert entry.rmia_auc is not None
        assert entry.intervals["rmia_auc"].low <= entry.rmia_auc <= entry.intervals["rmia_auc"].high
        assert "rmia_at_one_percent" in entry.intervals
    assert original.rmia_auc > 60
    assert abs(unlearned.rmia_auc - retrained.rmia_auc) < 8
    assert original.rmia_at_one_percent > retrained.rmia_at_one_percent
    assert "4, of which 2" in measured.settings["reference networks"]


def test_only_test_samples_of_the_forgotten_classes_are_compared() -> None:
    signals = network(4.0)
    kept = signals.forget.where(signals.forget.labels.numpy() == 1)
    one_class = type(signals)(forget=kept, retain=signals.retain, holdout=signals.holdout, test=signals.test)
    known = references()
    some = ReferenceSignals(forget=known.forget.take(np.arange(len(kept))), test=known.test)
    assert len(rmia_separation(one_class, some).unseen) == SIZES["test"] // 4


def test_answers_that_do_not_fit_are_refused() -> None:
    known = references()
    with pytest.raises(AuditError, match="399 forget samples; expected the audit's 400"):
        rmia_separation(
            network(2.0), ReferenceSignals(forget=known.forget.take(np.arange(399)), test=known.test)
        )
    uneven = known.forget.out.copy()
    uneven[:, 0] = True
    with pytest.raises(AuditError, match="2, 4 reference networks"):
        ReferenceAnswers(margin=known.forget.margin, out=uneven)
    everyone = ReferenceAnswers(margin=known.test.margin, out=np.ones_like(known.test.out))
    with pytest.raises(AuditError, match="expected the same number"):
        ReferenceSignals(forget=known.forget, test=everyone)
    margin = known.forget.margin.copy()
    margin[1, 3] = np.nan
    with pytest.raises(AuditError, match="1 samples with NaN"):
        ReferenceAnswers(margin=margin, out=known.forget.out)
