"""One statistic next to retrained networks: where it lies, and what is said of it, on numbers that can be checked."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from obliq.auditing import RoleSignals
from obliq.auditing.reference_comparison import DOUBT, Comparison, compare_with_references
from obliq.auditing.signals import Relearned
from obliq.auditing.statistic import Judged, Statistic
from obliq.auditing.statistics import CLASS_STATISTICS, STATISTICS
from obliq.auditing.variation import estimate_variation, expected_variance, reach
from obliq.auditing.verdict import Verdict, interval_in_words, value_in_words
from obliq.errors import AuditError
from tests.auditing.retrainings import margins, roles

ONE = Comparison(
    name="auc_forget_vs_test",
    kind="memory",
    value=12.0,
    original=18.0,
    low=7.0,
    high=15.0,
    references=(8.0, 10.0, 12.0, 10.0),
    deviation=2.0,
    freedom=7,
    error=0.01,
)


def test_distances_are_from_the_mean_in_deviations() -> None:
    assert (ONE.centre, ONE.deviations, ONE.original_deviations, ONE.prior_freedom) == (10, 1, 4, 4)
    assert [ONE.outside(value) for value in (6.9, 7, 15, 15.1)] == [-1, 0, 0, 1]
    assert [replace(ONE, low=None).outside(value) for value in (-99, 15, 15.1)] == [0, 0, 1]
    assert [replace(ONE, high=None).outside(value) for value in (6.9, 7, 99)] == [-1, 0, 0]
    assert [one.sides for one in (ONE, replace(ONE, low=None), replace(ONE, high=None))] == [
        "both",
        "high",
        "low",
    ]


@pytest.mark.parametrize("original", [10.0, 14.9, 15.1, 18.0, 5.0, 2.0])
@pytest.mark.parametrize("changes", [{}, {"low": None}, {"high": None}, {"kind": "answers"}, {"low": 9.9}])
def test_the_range_to_pass_leaves_out_what_is_undecided(original: float, changes: dict[str, Any]) -> None:
    one = replace(ONE, original=original, **changes)
    low, high = one.passing
    assert (low is None, high is None) == (one.low is None, one.high is None)
    for value in np.arange(-10, 30, 0.0371):
        moved = replace(one, value=float(value))
        within = (low is None or value >= low) and (high is None or value <= high)
        assert within == (not moved.outside(moved.value) and not moved.is_undecided), value


def test_the_nearer_one_of_original_and_mean() -> None:
    assert [replace(ONE, value=value).is_nearer_to_original for value in (13.9, 14, 14.1)] == [
        False,
        False,
        True,
    ]
    below = replace(ONE, original=2.0)
    assert [replace(below, value=value).is_nearer_to_original for value in (6.1, 6, 5.9)] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("original", "explained", "not_explained"),
    [
        (18.0, (15.1, 18, 23), (23.1, 6.9, 12)),  # as far as the original, and by half the interval further
        (2.0, (6.9, 2, -1), (-1.1, 15.1, 12)),
        (15.0, (), (15.1, 6.9, 12)),  # lies within
        (7.0, (), (15.1, 6.9, 12)),
    ],
)
def test_an_original_outside_explains_so_much(
    original: float, explained: tuple[float, ...], not_explained: tuple[float, ...]
) -> None:
    for values, expected in ((explained, True), (not_explained, False)):
        for value in values:
            assert replace(ONE, value=value, original=original).is_no_worse_than_original is expected, value


@pytest.mark.parametrize("kind", DOUBT)
def test_doubt_begins_beyond_the_narrower_interval(kind: str) -> None:
    one = replace(ONE, kind=kind, references=(0.0,) * 4, deviation=1.0, low=-9.0, high=9.0)
    for ends, sides in (({}, "both"), ({"low": None}, "high"), ({"high": None}, "low")):
        furthest = reach(4, 7, DOUBT[kind], sides)  # type: ignore[index,arg-type]
        for value, beyond in ((furthest, False), (1.001 * furthest, True)):
            assert replace(one, value=value, **ends).is_doubtful == (beyond and sides != "low")  # type: ignore[arg-type]
            assert replace(one, value=-value, **ends).is_doubtful == (beyond and sides != "high")  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", [{"references": (1.0,)}, {"deviation": 0.0}, {"deviation": float("nan")}])
def test_what_shows_no_spread_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(AuditError, match="expected two or more, and a deviation above 0"):
        replace(ONE, **changes)  # type: ignore[arg-type]
    assert replace(ONE, references=(1.0, 2.0)).centre == 1.5


@pytest.mark.parametrize(
    ("low", "high", "value", "words"),
    [
        (1.26, 5.04, 3.0, ("3.0", "retraining: 1.3 to 5.0")),
        (1.26, 5.04, 5.02, ("5.020", "retraining: 1.260 to 5.040")),  # more decimals tell it from an end
        (1.26, 5.04, 1.27, ("1.270", "retraining: 1.260 to 5.040")),
        (1.26, 5.04, 5.04, ("5.0", "retraining: 1.3 to 5.0")),
        (None, 5.04, 5.06, ("5.1", "retraining: at most 5.0")),
        (None, 5.04, 5.02, ("5.020", "retraining: at most 5.040")),
        (1.26, None, 1.27, ("1.270", "retraining: at least 1.260")),
        (1.26, None, 9.0, ("9.0", "retraining: at least 1.3")),
    ],
)
def test_values_are_told_from_the_ends_of_intervals(
    low: float | None, high: float | None, value: float, words: tuple[str, str]
) -> None:
    one = replace(ONE, low=low, high=high)
    assert (value_in_words(one, value), interval_in_words(one, value)) == words


@pytest.mark.parametrize(
    ("verdict", "advice"),
    [
        (
            Verdict("INDISTINGUISHABLE", "", "ship", 4),
            "No statistic of this verdict speaks against using this network.",
        ),
        (
            Verdict("INDISTINGUISHABLE", "", "ship", 2),
            "were measured with 4 or more retrained networks, not with 2.",
        ),
        (Verdict("NOTHING TO MEASURE", "", "ship", 4), "Use a retrained network, or this one: these attacks"),
        (
            Verdict("INCONCLUSIVE", "", "more references", 2, 7),
            "Repeat the audit with 7 retrained networks; even",
        ),
        (Verdict("INCONCLUSIVE", "", "more references", 2), "Repeat the audit with 4 or more retrained"),
        (
            Verdict("INCONCLUSIVE", "", "other settings", 2, 7),
            "Use a retrained network itself, or unlearn again",
        ),
    ],
)
def test_advice_fits_the_word_and_the_step(verdict: Verdict, advice: str) -> None:
    assert advice in verdict.advice


def test_a_verdict_is_rounded_in_every_number() -> None:
    exact = replace(
        ONE,
        value=1.25159,
        original=2.25159,
        low=None,
        high=3.25159,
        references=(4.25159, 5.25159),
        deviation=6.25159,
    )
    rounded = replace(
        ONE, value=1.252, original=2.252, low=None, high=3.252, references=(4.252, 5.252), deviation=6.252
    )
    assert Verdict("INCONCLUSIVE", "", "ship", 2, None, (exact,)).rounded(3).comparisons == (rounded,)


@pytest.mark.parametrize(
    ("table", "classes"),
    [(STATISTICS, frozenset()), (CLASS_STATISTICS, frozenset({1}))],
    ids=["people", "class"],
)
def test_intervals_follow_from_the_table_of_statistics(
    table: Sequence[Statistic], classes: frozenset[int]
) -> None:
    sizes = {"forget": 40, "retain": 60, "test": 40}
    candidate, original, *references = [roles(margins(seed, 0, sizes)) for seed in range(6)]
    found = compare_with_references(candidate, original, references, classes)
    among = [
        Judged(one, original, [other for other in references if other is not one], classes)
        for one in references
    ]
    mine, before = (Judged(one, original, references, classes) for one in (candidate, original))
    named = {statistic.name: statistic for statistic in table}
    for one in found:
        statistic = named[one.name]
        values = tuple(statistic.measure(judged) for judged in among)
        expected = statistic.usual**2 if statistic.usual else None
        if statistic.parts:
            parts = [statistic.parts(judged) for judged in among]
            stacked = [np.stack([networks[place] for networks in parts]) for place in range(len(parts[0]))]
            expected = expected_variance(stacked, statistic.inflation)
        spread = estimate_variation(values, statistic.resolution(mine), expected)
        interval = spread.interval(statistic.error, statistic.sides)
        low, high = max(interval.low, statistic.bounds[0]), min(interval.high, statistic.bounds[1])
        assert one == Comparison(
            name=statistic.name,
            kind=statistic.kind,
            value=statistic.measure(mine),
            original=statistic.measure(before),
            low=None if statistic.sides == "high" else low,
            high=None if statistic.sides == "low" else high,
            references=values,
            deviation=spread.deviation,
            freedom=spread.freedom,
            error=statistic.error,
        )


def test_statistics_are_those_that_every_network_has() -> None:
    def names(networks: list[RoleSignals], classes: frozenset[int] = frozenset()) -> list[str]:
        candidate, original, *references = networks
        return [one.name for one in compare_with_references(candidate, original, references, classes)]

    def lacking(table: Sequence[Statistic], *left_out: str) -> list[str]:
        return [one.name for one in table if one.name not in left_out]

    few = [roles(margins(seed, 0, {"forget": 20, "retain": 20, "test": 20})) for seed in range(4)]
    whole = [
        replace(one, probe=one.forget, relearned=Relearned(forget=one.forget, unseen=one.unseen))
        for one in few
    ]
    assert names(whole) == lacking(STATISTICS)
    assert names(whole, frozenset({1})) == lacking(CLASS_STATISTICS)
    for place in range(4):
        networks = [*whole[:place], few[place], *whole[place + 1 :]]
        assert names(networks) == lacking(STATISTICS, "relearned_gap")
        assert names(networks, frozenset({1})) == lacking(CLASS_STATISTICS, "class_probe")
    alone = [replace(whole[0], classes_alone=True), *whole[1:]]
    assert names(alone) == [one.name for one in STATISTICS if one.of_classes]
