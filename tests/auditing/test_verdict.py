import dataclasses
import re
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from obliq.auditing import RoleSignals, Verdict, judge
from obliq.auditing.reference_comparison import compare_with_references
from obliq.auditing.statistics import CLASS_STATISTICS, STATISTICS
from obliq.errors import AuditError
from tests.auditing.retrainings import ORIGINAL, REFERENCES, changed, margins, network, roles, signals

REFUSED = {"REMEMBERED", "OVER-FORGOTTEN", "DAMAGED"}


POOL = [network(5000 + number) for number in range(40)]


def wrong_every(number: int, margin: np.ndarray) -> np.ndarray:
    """The margins, of which every so many is negative."""
    return np.where(np.arange(len(margin)) % number == 0, -abs(margin), margin)


def words(candidates: list[RoleSignals], references: int = 8) -> Counter[str]:
    """How often each word is given, each candidate with other references."""
    return Counter(
        judge(
            candidate, ORIGINAL, [POOL[(3 * place + number) % len(POOL)] for number in range(references)]
        ).word
        for place, candidate in enumerate(candidates)
    )


@pytest.mark.parametrize("references", [4, 8])
def test_true_retrainings_pass_and_are_rarely_refused(references: int) -> None:
    found = words([network(seed) for seed in range(60)], references)
    assert (
        sum(found[word] for word in REFUSED) <= 6
    )  # 5 % of 60, and what chance adds in one of 50 such tests
    assert found["INDISTINGUISHABLE"] >= 48
    assert words([ORIGINAL], references)["REMEMBERED"] == 1


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda seed: network(seed, memory=2.0), "REMEMBERED"),
        (lambda seed: network(seed, memory=-2.0), "OVER-FORGOTTEN"),
        (lambda seed: changed(seed, lambda margin: -abs(margin), only="forget"), "OVER-FORGOTTEN"),
        (lambda seed: changed(seed, lambda margin: 0.4 * margin, memory=2.0), "REMEMBERED"),
        (lambda seed: changed(seed, lambda margin: 0.4 * margin), "DAMAGED"),
        (
            lambda seed: changed(
                seed, lambda margin: margin + np.random.default_rng(seed).normal(0, 3, len(margin))
            ),
            "DAMAGED",
        ),
        (lambda seed: changed(seed, lambda margin: margin - 6), "DAMAGED"),
    ],
    ids=["untouched", "over-forgotten", "filter", "temperature", "temperature alone", "noise", "ruined"],
)
def test_fakes_are_refused(make: Callable[[int], RoleSignals], word: str) -> None:
    found = words([make(seed) for seed in range(12)])
    assert sum(found[one] for one in REFUSED) == 12
    assert found[word] >= 10


def test_a_ruined_network_is_damaged_with_any_number_of_references() -> None:
    """Gradient ascent took the test accuracy of a network from 88 to 10 %; its AUC is that of retraining."""
    ruined = changed(
        1, lambda margin: -abs(margin) * np.random.default_rng(1).choice([1, -0.1], len(margin), p=[0.9, 0.1])
    )
    for count in (0, 1, 4):
        verdict = judge(ruined, ORIGINAL, REFERENCES[:count])
        assert verdict.word == "DAMAGED"
        assert "on unseen samples" in verdict.reason


def test_a_damaged_network_is_said_to_remember_as_well() -> None:
    damaged = changed(
        1, lambda margin: np.where(np.arange(len(margin)) % 3 == 0, -margin, margin), only="test"
    )
    remembers = judge(dataclasses.replace(damaged, forget=ORIGINAL.forget), ORIGINAL, REFERENCES)
    assert remembers.word == "DAMAGED"
    assert "still recognised" in remembers.reason


def test_what_the_original_shares_is_not_blamed_on_unlearning() -> None:
    """A level of confidence that no retrained network has, before unlearning and after it."""
    original, candidate = (
        changed(seed, lambda margin: 1.5 * margin, memory=memory) for seed, memory in ((8, 2.0), (9, 0.0))
    )
    verdict = judge(candidate, original, REFERENCES)
    assert verdict.word == "INCONCLUSIVE"
    assert "before unlearning lies outside, too" in verdict.reason
    assert judge(candidate, ORIGINAL, REFERENCES).word == "DAMAGED"
    further = changed(9, lambda margin: 3 * margin)
    assert judge(further, original, REFERENCES).word == "DAMAGED"


def test_a_network_that_answers_correctly_where_retraining_errs_is_not_indistinguishable() -> None:
    """Forgotten by entropy: the AUC is near, but it errs on .8 % of the forget set and retraining on 11.4 %."""

    def certain_of_none_wrong(margin: np.ndarray) -> np.ndarray:
        return np.where(margin < 0.3, 0.3 + 0.1 * abs(margin), margin)

    candidate = changed(3, certain_of_none_wrong, only="forget")
    for count in (1, 4, 8):
        verdict = judge(candidate, ORIGINAL, REFERENCES[:count])
        assert verdict.word == ("REMEMBERED" if count == 8 else "INCONCLUSIVE")
    assert "correct answers on forgotten samples" in verdict.reason.lower()


def test_fewer_than_two_retrained_networks_never_pass_anything() -> None:
    for count in (0, 1):
        found = {judge(network(seed), ORIGINAL, REFERENCES[:count]).word for seed in range(20)}
        assert found == {"INCONCLUSIVE"}
    alone = judge(network(1), ORIGINAL, REFERENCES[:1])
    assert (alone.next_step, alone.references_wanted, alone.comparisons) == ("more references", 4, ())
    assert judge(ORIGINAL, ORIGINAL, REFERENCES[:1]).word == "REMEMBERED"
    assert judge(network(1, memory=-2), ORIGINAL, REFERENCES[:1]).word == "OVER-FORGOTTEN"
    unknown = judge(ORIGINAL, ORIGINAL, exchangeable=False)
    assert unknown.word == "INCONCLUSIVE"
    assert "no value to aim at" in unknown.reason


@pytest.mark.parametrize(
    ("candidate", "word"),
    [
        (network(1, memory=0.6), "REMEMBERED"),  # the interval of the difference begins at 5.5 points
        (network(1, memory=0.4), "INCONCLUSIVE"),
        (network(1, memory=-1.0), "OVER-FORGOTTEN"),  # it ends at -6.8
        (network(1, memory=-0.8), "INCONCLUSIVE"),  # at -4.2
        (
            changed(1, lambda margin: wrong_every(8, margin), only="test"),
            "DAMAGED",
        ),  # the loss of accuracy: at 5.3
        (changed(1, lambda margin: wrong_every(10, margin), only="test"), "INCONCLUSIVE"),  # at 4.2
    ],
)
def test_with_one_retrained_network_five_points_decide(candidate: RoleSignals, word: str) -> None:
    assert judge(candidate, network(7, memory=1.0), REFERENCES[:1]).word == word


@pytest.mark.parametrize(
    ("memory", "word", "side"), [(2.0, "REMEMBERED", "above"), (-2.0, "OVER-FORGOTTEN", "below")]
)
def test_without_any_the_auc_is_compared_with_50(memory: float, word: str, side: str) -> None:
    verdict = judge(network(1, memory=memory), network(7, memory=2.0), [])
    assert verdict.word == word
    found = re.search(rf"The AUC is ([0-9.]+) points {side} 50", verdict.reason)
    assert found is not None
    assert float(found[1]) < 50


def test_no_trace_before_unlearning_is_nothing_to_measure() -> None:
    found = Counter(judge(network(seed), network(99), REFERENCES).word for seed in range(20))
    assert found["NOTHING TO MEASURE"] >= 16
    verdict = judge(network(1), network(99), REFERENCES)
    assert "cannot tell that network from a retrained one" in verdict.reason


def test_too_few_references_are_told_from_no_trace() -> None:
    """With two retrained networks the interval is so wide that the original lies within it."""
    verdict = judge(network(1), network(2, memory=0.6), REFERENCES[:2])
    assert verdict.word == "INCONCLUSIVE"
    assert verdict.references_wanted is not None
    assert verdict.references_wanted > 2
    assert str(verdict.references_wanted) in verdict.advice


def test_doing_nothing_never_passes() -> None:
    for memory in np.linspace(0, 3, 13):
        for count in (0, 1, 2, 4, 8):
            original = network(7, memory)
            assert judge(original, original, REFERENCES[:count]).word != "INDISTINGUISHABLE"


def test_too_few_samples_settle_nothing() -> None:
    small = [
        roles(margins(seed, memory, {"forget": 19, "retain": 600, "test": 260}))
        for seed, memory in ((1, 3), (2, 3), (3, 0), (4, 0))
    ]
    verdict = judge(small[0], small[1], small[2:])
    assert (verdict.word, verdict.next_step) == ("INCONCLUSIVE", "more samples")
    assert "at least 20" in verdict.reason


def test_constant_answers_are_nothing_to_measure() -> None:
    constant = RoleSignals(
        **{
            role: signals(np.full(count, 2.0))
            for role, count in {"forget": 100, "retain": 300, "test": 200}.items()
        }
    )
    verdict = judge(constant, constant, [constant] * 4)
    assert verdict.word == "NOTHING TO MEASURE"
    for one in verdict.comparisons:
        assert one.low is None or one.high is None or one.low < one.high


def test_a_reference_is_a_candidate_like_any_other() -> None:
    """Each of nine networks against the other eight: as often refused as the error promises, and no more."""
    nine = [network(300 + seed) for seed in range(9)]
    found = [judge(one, ORIGINAL, nine[:place] + nine[place + 1 :]).word for place, one in enumerate(nine)]
    assert sum(word in REFUSED for word in found) <= 1


def test_classes_are_judged_by_answers_on_them() -> None:
    """Retrained networks answer none of the class; one that still answers half of it is remembered."""

    def of_class(seed: int, share: float) -> RoleSignals:
        generator, sizes = np.random.default_rng(seed), {"forget": 120, "retain": 600, "test": 300}
        found = {}
        for role, count in sizes.items():
            labels = (
                np.full(count, 2) if role == "forget" else np.arange(count) % (3 if role == "test" else 2)
            )
            margin = generator.normal(5, 2, count)
            gone = (labels == 2) & (generator.random(count) > share)
            margin[gone] = generator.normal(-6, 1.5, gone.sum())
            logits = np.zeros((count, 3))
            logits[np.arange(count), labels] = margin
            found[role] = dataclasses.replace(signals(margin), logits=_tensor(logits), labels=_tensor(labels))
        return RoleSignals(**found)

    references = [of_class(seed, 0) for seed in range(4)]
    original, classes = of_class(9, 0.95), frozenset({2})
    assert judge(of_class(10, 0.56), original, references, forgotten_classes=classes).word == "REMEMBERED"
    found = [
        judge(of_class(20 + seed, 0), original, references, forgotten_classes=classes).word
        for seed in range(10)
    ]
    assert found.count("INDISTINGUISHABLE") >= 8
    for few in ([], references[:1]):  # an empty class is no damage, whatever the network is compared with
        for gone in (classes, frozenset(range(3))):  # the last: no class of the test samples remains
            verdict = judge(of_class(40, 0), original, few, forgotten_classes=gone, exchangeable=False)
            assert verdict.word == "INCONCLUSIVE"


def _tensor(values: np.ndarray):
    import torch

    return torch.from_numpy(values).float() if values.dtype == float else torch.from_numpy(values)


@pytest.mark.parametrize("table", [STATISTICS, CLASS_STATISTICS])
def test_errors_add_up_to_five_percent(table) -> None:
    assert sum(statistic.error for statistic in table) == pytest.approx(0.05)
    assert len({statistic.name for statistic in table}) == len(table)


def test_one_retrained_network_has_no_spread() -> None:
    with pytest.raises(AuditError, match="1 retrained networks; expected two or more"):
        compare_with_references(network(1), ORIGINAL, REFERENCES[:1])


def test_a_verdict_advises() -> None:
    verdicts = [
        judge(network(1), ORIGINAL, REFERENCES),
        judge(ORIGINAL, ORIGINAL, REFERENCES),
        judge(network(1), ORIGINAL, REFERENCES[:1]),
    ]
    assert [one.next_step for one in verdicts] == ["ship", "other settings", "more references"]
    assert all(
        isinstance(one, Verdict) and one.advice.endswith(".") and "\n" not in one.reason for one in verdicts
    )
