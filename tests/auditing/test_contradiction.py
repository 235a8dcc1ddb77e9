"""An audit that contradicts itself was altered; rounding alone is no contradiction."""

import dataclasses
from typing import Any

import pytest
from scipy import stats

from obliq.auditing import DeviceAnswers, Verdict
from obliq.auditing.contradiction import contradiction
from obliq.auditing.intervals import Interval
from obliq.auditing.reference_comparison import Comparison
from obliq.auditing.statistic import Kind
from tests.auditing.test_verdict_rules import REFUSED, WORDS, Pair, comparison, measured

ERROR = 2 * float(stats.t.sf(5 / (1 + 1 / 4) ** 0.5, 7))
"""With it, the interval of four retrained networks with values of 0 and a deviation of 1 is -5 to 5."""


def agreeing(kind: Kind, pair: Pair, **changes: Any) -> Comparison:
    """A comparison whose interval is that of its retrained networks."""
    name = {"memory": "margin_gap", "answers": "confidence_level"}[kind]
    return comparison(kind, pair, **({"name": name, "error": ERROR} | changes))


def test_a_verdict_agrees_with_its_numbers() -> None:
    assert contradiction(measured(None)) == ""
    for pair, word in [((6, 8), "REMEMBERED"), ((-6, 8), "OVER-FORGOTTEN"), ((0, 8), "INDISTINGUISHABLE")]:
        for claimed in WORDS:
            verdict = Verdict(claimed, "", "ship", 4, None, (agreeing("memory", pair),))  # type: ignore[arg-type]
            problem = contradiction(measured(verdict))
            expected = f"the verdict on net is {claimed}, and its numbers lead to {word}"
            assert problem == ("" if claimed == word else expected)
        short = dataclasses.replace(verdict, references=5)
        assert "has 4 retrained networks, the verdict 5" in contradiction(measured(short))
    for claimed in WORDS:  # without numbers: the words that need none
        alone = Verdict(claimed, "", "ship", 1)  # type: ignore[arg-type]
        assert (contradiction(measured(alone)) == "") == (claimed in {*REFUSED, "INCONCLUSIVE"})


def test_a_verdict_on_classes_alone_may_leave_the_question_open() -> None:
    verdict = Verdict("INCONCLUSIVE", "", "record logits", 4, None, (agreeing("memory", (0, 8)),))
    for recorded, accepted in (("classes", True), ("logits", False)):
        device = DeviceAnswers(
            network="n", recorded=recorded, file_digest=None, same_classes=100.0, interval=Interval(99, 100)
        )  # type: ignore[arg-type]
        assert (contradiction(measured(verdict, device)) == "") == accepted


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ((5.00015, 9), {"OUT", "INCONCLUSIVE"}),
        ((5.00025, 9), {"OUT"}),
        ((4.99985, 9), {"OUT", "INCONCLUSIVE"}),
        ((4.99975, 9), {"INCONCLUSIVE"}),
        ((0, 5.00015), {"INDISTINGUISHABLE", "INCONCLUSIVE"}),
        ((0, 5.00025), {"INDISTINGUISHABLE"}),
        ((0, 4.99985), {"INDISTINGUISHABLE", "INCONCLUSIVE"}),
        ((0, 4.99975), {"INCONCLUSIVE"}),
    ],
)
def test_rounding_excuses_no_more_than_rounding(pair: Pair, words: set[str], sign: int) -> None:
    """Audits hold four decimals, and each number may be off by two units of the last one."""
    side = "REMEMBERED" if sign > 0 else "OVER-FORGOTTEN"
    found = agreeing("memory", (sign * pair[0], sign * pair[1]))
    for claimed in WORDS:
        verdict = Verdict(claimed, "", "ship", 4, None, (found,))  # type: ignore[arg-type]
        accepted = contradiction(measured(verdict)) == ""
        assert accepted == (claimed in words or (claimed == side and "OUT" in words)), claimed


@pytest.mark.parametrize(("kind", "former"), [("memory", (2.7, 3.0)), ("answers", (3.4, 3.8))])
def test_an_audit_of_version_4_may_be_undecided_where_a_network_passes_now(kind: Kind, former: Pair) -> None:
    known = agreeing("memory", (0, 8))
    for value, accepted in ((former[0] - 0.2, False), (former[0], True), (former[1], True)):
        found = (known, agreeing(kind, (value, 0), name="relearned_gap" if kind == "memory" else "scatter"))
        for claimed in WORDS:
            verdict = Verdict(claimed, "", "more references", 4, None, found)  # type: ignore[arg-type]
            words = {"INDISTINGUISHABLE"} | ({"INCONCLUSIVE"} if accepted else set())
            assert (contradiction(measured(verdict)) == "") == (claimed in words), (
                value,
                claimed,
            )


@pytest.mark.parametrize("pair", [(5.0001, 9.0), (0.0, 5.0001)])
def test_rounding_may_have_moved_all_statistics_outwards(pair: Pair) -> None:
    """One lies above its interval by rounding, and one below: within them, nothing is decided."""
    found = tuple(
        agreeing("memory", (sign * pair[0], sign * pair[1]), name=name)
        for sign, name in ((1, "margin_gap"), (-1, "relearned_gap"))
    )
    verdict = Verdict("INCONCLUSIVE", "", "more references", 4, None, found)
    assert contradiction(measured(verdict)) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"value": 0.5}, "margin_gap is 0.5 in the verdict and 0 in the table"),
        (
            {"low": -1000.0},
            "margin_gap has a range that ends at -1000, and its retrained networks lead to -5",
        ),
        ({"high": 6.0}, "margin_gap has a range that ends at 6, and its retrained networks lead to 5"),
        ({"deviation": 100.0}, "its retrained networks lead to -500"),
        ({"references": (9.0, 9.0, 9.0, 9.0)}, "its retrained networks lead to 4"),
        ({"freedom": 3}, "its retrained networks lead to -10"),
    ],
)
def test_numbers_that_disagree_with_each_other_are_named(changes: dict[str, Any], words: str) -> None:
    whole = Verdict("INDISTINGUISHABLE", "", "ship", 4, None, (agreeing("memory", (0, 8)),))
    entry = dataclasses.replace(measured(whole), values={"margin_gap": 0.0})
    assert contradiction(entry) == ""
    altered = dataclasses.replace(whole, comparisons=(agreeing("memory", (0, 8), **changes),))
    assert words in contradiction(dataclasses.replace(entry, verdict=altered))


def test_statistics_that_refuse_too_much_are_no_verdict_of_ours() -> None:
    reach = float(stats.t.isf(0.03, 7)) * (1 + 1 / 4) ** 0.5
    wide = agreeing("memory", (0, 9), error=0.06, low=-reach, high=reach)
    verdict = Verdict("INDISTINGUISHABLE", "", "ship", 4, None, (wide,))
    assert "refuse more than 5 of 100" in contradiction(measured(verdict))
