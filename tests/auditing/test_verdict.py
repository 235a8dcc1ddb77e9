import numpy as np
import pytest

from obliq.auditing import Separation, judge


def drawn(shift: float, samples: int = 2000, seed: int = 0) -> Separation:
    generator = np.random.default_rng(seed)
    return Separation(generator.normal(shift, 1, samples), generator.normal(0, 1, samples))


REMEMBERS, RETRAINED = drawn(0.9, seed=1), drawn(0.0, seed=2)


@pytest.mark.parametrize("retrained", [None, RETRAINED])
@pytest.mark.parametrize(
    ("shift", "word"), [(0.0, "INDISTINGUISHABLE"), (0.5, "REMEMBERED"), (-0.5, "OVER-FORGOTTEN")]
)
def test_two_sided(shift: float, word: str, retrained: Separation | None) -> None:
    similar = drawn(shift + 0.01, seed=2)  # answers the same samples much as the retrained network does
    verdict = judge(similar, REMEMBERS, retrained)
    assert verdict.word == word
    assert verdict.reference == (retrained.auc if retrained else 50)
    assert verdict.reason.endswith(".")
    assert "\n" not in verdict.reason


def test_too_few_samples_settle_nothing() -> None:
    verdict = judge(drawn(3.0, samples=19), drawn(3.0, samples=19), None)
    assert verdict.word == "INCONCLUSIVE"
    assert "too few" in verdict.reason


def test_a_wide_interval_settles_nothing() -> None:
    verdict = judge(drawn(0.0, samples=60, seed=5), drawn(2.0, samples=60), None)
    assert verdict.word == "INCONCLUSIVE"
    assert "More samples" in verdict.reason


def test_an_attack_without_power_settles_nothing() -> None:
    verdict = judge(drawn(0.0, seed=3), drawn(0.0, seed=4), None)
    assert verdict.word == "INCONCLUSIVE"
    assert "before unlearning either" in verdict.reason


@pytest.mark.parametrize("shift", [0.05, 0.1, 0.2, 0.5, 1.5, 6.0])
@pytest.mark.parametrize("retrained", [None, RETRAINED])
def test_doing_nothing_never_passes(shift: float, retrained: Separation | None) -> None:
    for samples in (2000,) if retrained else (50, 500, 5000):  # a pair has answered the same samples
        original = drawn(shift, samples, seed=7)
        assert judge(original, original, retrained).word in ("REMEMBERED", "INCONCLUSIVE")


def test_the_retrained_network_is_the_aim_where_a_person_differs_by_itself() -> None:
    unusual = drawn(-0.6, seed=8)
    assert judge(drawn(-0.6, seed=9), REMEMBERS, None).word == "OVER-FORGOTTEN"
    assert judge(unusual, REMEMBERS, unusual).word == "INDISTINGUISHABLE"


def test_retrained_networks_pass_mostly_and_never_fail_often() -> None:
    words = [judge(drawn(0, 1000, seed), drawn(1, 1000, seed + 1000), None).word for seed in range(200)]
    assert words.count("INDISTINGUISHABLE") > 160
    assert words.count("REMEMBERED") + words.count("OVER-FORGOTTEN") == 0


@pytest.mark.parametrize("shift", [-0.5, 0.0, 0.5])
def test_without_a_reference_nothing_is_said_of_people_and_classes(shift: float) -> None:
    alone = judge(drawn(shift), REMEMBERS, None, exchangeable=False)
    assert alone.word == "INCONCLUSIVE"
    assert "Without a retrained network" in alone.reason
    with_reference = judge(drawn(shift), REMEMBERS, RETRAINED, exchangeable=False)
    assert with_reference == judge(drawn(shift), REMEMBERS, RETRAINED)
