"""The rules of the verdict on numbers alone, next to a second statement of the rules; test_verdict has networks.

Every statistic here has its retrained networks at 0, a standard deviation of 1, and an interval from -5 to 5.
"""

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
import torch

from obliq.auditing import Measurement, RoleSignals, Verdict, judge, verdict_rules
from obliq.auditing.device_answers import DeviceAnswers
from obliq.auditing.intervals import Interval
from obliq.auditing.membership import Separation
from obliq.auditing.reference_comparison import Comparison
from obliq.auditing.statistic import Kind
from tests.auditing.retrainings import ORIGINAL, margins, network, roles

WORDS = {"INDISTINGUISHABLE", "REMEMBERED", "OVER-FORGOTTEN", "DAMAGED", "NOTHING TO MEASURE", "INCONCLUSIVE"}
NAMES: dict[Kind, tuple[str, str]] = {
    "utility": ("test_accuracy", "retain_accuracy"),
    "memory": ("auc_forget_vs_test", "margin_gap"),
    "answers": ("confidence_level", "scatter"),
}
Pair = tuple[float, float]  # of the network, and of the original
DOUBTFUL = {
    "memory": 3.7,
    "answers": 4.0,
    "utility": 4.5,
}  # within the interval, and outside the narrower one
REFUSED = ("DAMAGED", "REMEMBERED", "OVER-FORGOTTEN")


def comparison(kind: Kind, pair: Pair, which: int = 0, **changes: Any) -> Comparison:
    values = {
        "name": NAMES[kind][which],
        "kind": kind,
        "value": pair[0],
        "original": pair[1],
        "low": -5.0,
        "high": 5.0,
        "references": (0.0,) * 4,
        "deviation": 1.0,
        "freedom": 7,
        "error": 0.01,
    }
    return Comparison(**values | changes)


def judged(monkeypatch: pytest.MonkeyPatch, found: list[Comparison]) -> Verdict:
    monkeypatch.setattr(verdict_rules, "compare_with_references", lambda *_: tuple(found))
    references = [network(1)] * len(found[0].references)
    return judge(network(1), ORIGINAL, references)


def measured(verdict: Verdict | None, device: DeviceAnswers | None = None) -> Measurement:
    return Measurement(
        name="net",
        kind="unlearned",
        artifact=None,
        weights_digest=None,
        values={},
        intervals={},
        verdict=verdict,
        confidence={},
        entropy={},
        device=device,
    )


def of_the_rules(utility: Pair, memory: Pair, answers: Pair) -> str:
    """The word, from the list of rules in `judge`."""

    def outside(value: float) -> bool:
        return not -5 <= value <= 5

    def shared(pair: Pair) -> bool:
        value, original = pair
        return outside(original) and value * original > 0 and abs(value) <= abs(original) + 5

    blamed = {
        name: outside(pair[0]) and not shared(pair)
        for name, pair in {"utility": utility, "answers": answers}.items()
    }
    if blamed["utility"]:
        return "DAMAGED"
    if outside(memory[0]):
        return "REMEMBERED" if memory[0] > 0 else "OVER-FORGOTTEN"
    if blamed["answers"]:
        return "DAMAGED"
    if not outside(memory[1]):
        return (
            "NOTHING TO MEASURE" if memory[1] == 0 else "INCONCLUSIVE"
        )  # a few more references show a trace of 4
    if outside(utility[0]) or outside(answers[0]):
        return "INCONCLUSIVE"
    doubtful = any(
        abs(pair[0]) >= DOUBTFUL[name]
        for name, pair in {"memory": memory, "utility": utility, "answers": answers}.items()
    )
    nearer = abs(memory[0] - memory[1]) < abs(memory[0])
    return "INCONCLUSIVE" if doubtful or nearer else "INDISTINGUISHABLE"


def test_every_combination_has_the_word_of_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    others = {
        kind: [(0.0, 0.0), (DOUBTFUL[kind], 0.0), (-9.0, 0.0), (-9.0, -6.0), (-9.0, 6.0), (12.0, 6.0)]
        for kind in ("utility", "answers")
    }
    memory = [
        *((value, 8.0) for value in (0.0, 2.5, 3.7, 6.0, -6.0)),
        *((0.0, original) for original in (0.0, 4.0, -4.0, -8.0)),
        (6.0, 0.0),
        (1.0, -8.0),
    ]
    seen = set()
    for first, second, third in itertools.product(others["utility"], memory, others["answers"]):
        found = [comparison("answers", third), comparison("memory", second), comparison("utility", first)]
        verdict = judged(monkeypatch, found)
        assert verdict.word == of_the_rules(first, second, third), (first, second, third)
        seen.add(verdict.word)
    assert seen == WORDS


@pytest.mark.parametrize(
    ("found", "step", "parts"),
    [
        # a damaged network may remember, too, or treat forgotten samples worse
        ([("utility", -9, 0), ("memory", 6, 8)], "other settings", ["!too.", "still recognised: Forgotten"]),
        (
            [("utility", -9, 0), ("memory", -6, 8)],
            "other settings",
            ["worse than by retrained networks, too: "],
        ),
        ([("utility", -9, 0), ("memory", 1, 8)], "other settings", ["!forgotten samples"]),
        # what unlearning moved out, where no statistic showed a trace before
        ([("memory", 6, 0)], "other settings", ["unlearning moved it out", "recognised among"]),
        ([("memory", 6, 8)], "other settings", ["!moved it out"]),
        # the statistic that is furthest out decides, and all are named
        ([("memory", 6, 8), ("memory", -7, 0)], "other settings", ["6.0 (retraining: -5.0 to 5.0); ", "-7"]),
        (
            [("memory", 0, 8), ("memory", 0, -12), ("memory", 0, 0)],
            "ship",
            ["All 3 statistics", "12.0 standard"],
        ),
        ([("answers", 9, 0), ("memory", 0, 8)], "other settings", ["Level of confidence", "!forgotten"]),
        # what the original shares is named; more than enough references would not show more
        ([("answers", 11, 6), ("memory", 0, 8)], "other settings", ["11.00", "lies outside, too, so that"]),
    ],
)
def test_reasons_name_what_decided(
    monkeypatch: pytest.MonkeyPatch, found: list[tuple[Kind, float, float]], step: str, parts: list[str]
) -> None:
    verdict = judged(monkeypatch, [comparison(kind, pair) for kind, *pair in found])
    assert verdict.next_step == step
    for part in parts:
        assert (part.lstrip("!") in verdict.reason) != part.startswith("!"), verdict.reason


@pytest.mark.parametrize(
    ("count", "step"), [(2, "more references"), (3, "more references"), (4, "other settings")]
)
def test_more_references_are_advised_only_while_there_are_few(
    monkeypatch: pytest.MonkeyPatch, count: int, step: str
) -> None:
    found = [comparison("answers", (11, 6)), comparison("memory", (0, 8))]
    few = [dataclasses.replace(one, references=one.references[:1] * count) for one in found]
    verdict = judged(monkeypatch, few)
    assert (verdict.word, verdict.next_step, verdict.references) == ("INCONCLUSIVE", step, count)


@pytest.mark.parametrize(
    ("memory", "count", "wanted", "named"),
    [
        ([(0, 4)], 4, 6, "4.0 of their standard deviations"),
        ([(0, -4), (0, 1)], 5, 7, "4.0 of"),  # two more at least
        ([(0, 3.4), (0, 3.2)], 2, 7, "3.4 of"),  # the smallest number that any of them needs
        ([(0, 0.5), (0, -0.4)], 4, None, "AUC), %: 0.5 (retraining"),
        ([(0, 0.4), (0, -0.5)], 4, None, "standardised: -0.50 (retraining"),
        ([(3.7, 8)], 4, 6, "too far from their mean to pass: forgotten"),
        ([(2.6, 5.1)], 4, None, "too far from their mean"),  # nearer to the original
        (
            [(2.6, 4.8), (0, 8)],
            4,
            None,
            "All 2 statistics",
        ),  # nearer to an original without a trace of its own
    ],
)
def test_more_retrained_networks_are_wanted_where_they_would_decide(
    monkeypatch: pytest.MonkeyPatch, memory: list[Pair], count: int, wanted: int | None, named: str
) -> None:
    found = [
        comparison("memory", pair, which, references=(0.0,) * count, freedom=count + 3)
        for which, pair in enumerate(memory)
    ]
    verdict = judged(monkeypatch, found)
    assert (verdict.references, verdict.references_wanted) == (count, wanted)
    assert (verdict.next_step == "more references") == (wanted is not None)
    assert named in verdict.reason


def test_no_distance_is_too_small_for_a_narrow_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, utility = (
        comparison(kind, (sign * 0.8, 8), low=-0.5, high=0.5)
        for kind, sign in (("memory", 1), ("utility", -1))
    )
    assert judged(monkeypatch, [memory]).word == "REMEMBERED"
    assert "still recognised" in judged(monkeypatch, [memory, utility]).reason


def test_without_power_the_statistic_nearest_to_its_own_limit_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A distance counts by the share of the error that its statistic may use."""
    found = [comparison("memory", (0, 0.5)), comparison("memory", (0, 0.4), 1, error=0.05)]
    assert "standardised: 0.40" in judged(monkeypatch, found).reason


def test_too_few_samples_of_either_kind() -> None:
    def sized(forget: int, test: int) -> RoleSignals:
        return roles(margins(1, 0, {"forget": forget, "retain": 50, "test": test}))

    for forget, test, enough in ((20, 20, True), (19, 20, False), (20, 19, False)):
        verdict = judge(sized(forget, test), sized(forget, test), exchangeable=False)
        assert (verdict.next_step == "more samples") != enough
        assert (f"{forget} forgotten and {test} unseen" in verdict.reason) != enough
    verdict = judge(dataclasses.replace(network(1), test=None), ORIGINAL)
    assert (verdict.word, verdict.next_step, verdict.references) == ("INCONCLUSIVE", "test samples", 0)


@pytest.mark.parametrize(
    ("pair", "word"), [((0, 8), "INCONCLUSIVE"), ((6, 8), "REMEMBERED"), ((-6, 8), "OVER-FORGOTTEN")]
)
def test_classes_alone_can_refuse_and_never_pass(
    monkeypatch: pytest.MonkeyPatch, pair: Pair, word: str
) -> None:
    found = (comparison("memory", pair),)
    monkeypatch.setattr(verdict_rules, "compare_with_references", lambda *_: found)
    verdict = judge(dataclasses.replace(network(1), classes_alone=True), ORIGINAL, [network(1)] * 4)
    assert (verdict.word, verdict.comparisons, verdict.references) == (word, found, 4)
    assert (verdict.next_step == "record logits") == (word == "INCONCLUSIVE")


def stated(**values: object) -> Separation:
    """A separation with these values, whatever its scores are."""
    separation = Separation(np.zeros(1), np.zeros(1))
    vars(separation).update(values)
    return separation


CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "remembered": ({"auc": 60, "low": 5.1, "before": 69.9}, "REMEMBERED", "nearer to the network before"),
    "at the margin": ({"auc": 60, "low": 5.0, "before": 69.9}, "INCONCLUSIVE", "is 10.0 points above {}"),
    "not nearer": ({"auc": 60, "low": 5.1, "before": 70}, "INCONCLUSIVE", "is 10.0 points above {}"),
    "over-forgotten": ({"auc": 40, "high": -5.1, "before": 90}, "OVER-FORGOTTEN", "is 10.0 points below {}"),
    "at the other": ({"auc": 40, "high": -5.0, "before": 90}, "INCONCLUSIVE", "is 10.0 points below {}"),
    "like it": (
        {"auc": 50},
        "INCONCLUSIVE",
        "is 0.0 points above {} (95 % interval of the difference: -9.0 to",
    ),
    "a little above": ({"auc": 50.5}, "INCONCLUSIVE", "is 0.5 points above {}"),
    "damaged": ({"loss": (-9.0, -5.1)}, "DAMAGED", "is 9.0 points below {whose} (-20.0 to -5.1)"),
    "nearly damaged": ({"loss": (-9.0, -5.0)}, "INCONCLUSIVE", "{known} how much retraining varies"),
    "classes": ({"classes_alone": True}, "INCONCLUSIVE", "Only the classes of the answers"),
    "classes, damaged": (
        {"loss": (-9.0, -5.1), "classes_alone": True},
        "DAMAGED",
        "is 9.0 points below {whose}",
    ),
}
"""AUC of the network and the original, and the interval of its difference from the aim; loss of accuracy."""


@pytest.mark.parametrize("retrained", [True, False], ids=["one", "none"])
@pytest.mark.parametrize("name", CASES)
def test_with_one_retrained_network_or_none(
    monkeypatch: pytest.MonkeyPatch, name: str, retrained: bool
) -> None:
    given, word, reason = CASES[name]
    numbers = {
        "auc": 50.0,
        "before": 90.0,
        "low": -9.0,
        "high": 9.0,
        "loss": (0.0, 1.0),
        "classes_alone": False,
    } | given
    candidate = dataclasses.replace(network(1), classes_alone=numbers["classes_alone"])
    references = [network(2)] if retrained else []
    difference, interval = numbers["auc"] - 50, Interval(numbers["low"], numbers["high"])
    theirs = stated(auc=50.0)
    mine = stated(
        auc=numbers["auc"],
        interval=Interval(50 + interval.low, 50 + interval.high),
        minus=lambda other: (difference, interval) if other is theirs else None,
    )
    found = {
        id(candidate): mine,
        id(ORIGINAL): stated(auc=numbers["before"]),
        **{id(one): theirs for one in references},
    }
    monkeypatch.setattr(verdict_rules, "confidence_separation", lambda one: found[id(one)])
    monkeypatch.setattr(
        verdict_rules,
        "paired_accuracy_difference",
        lambda mine, theirs: (
            (numbers["loss"][0], Interval(-20.0, numbers["loss"][1]))
            if torch.equal(theirs.logits, [ORIGINAL, *references][-1].tested.logits)
            else None
        ),
    )
    verdict = judge(candidate, ORIGINAL, references)
    assert (verdict.word, verdict.references, verdict.comparisons) == (word, len(references), ())
    whose = "the retrained network's" if retrained else "the original's"
    aim = whose if retrained else "50, the value for unseen data"
    known = (
        "One retrained network does not show" if retrained else "Without retrained networks it is not known"
    )
    assert reason.format(aim, whose=whose, known=known) in verdict.reason
