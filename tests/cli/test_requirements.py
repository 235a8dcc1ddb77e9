"""What `obliq audit --require` reads, measures and prints."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from obliq.auditing import Interval, audit_models
from obliq.cli.requirements import check_requirements, parse_requirement, requirement_lines, unmet
from obliq.errors import AuditError
from tests.auditing.synthetic import three
from tests.cli.conftest import Said, Way

COMPARED = audit_models(three(3.0), precision="W4A4")


@pytest.mark.parametrize(
    ("text", "name", "distance", "at_most", "bound"),
    [
        ("avg-gap<=2", "average_gap", False, True, 2.0),
        ("Avg. Gap <= 2.5", "average_gap", False, True, 2.5),
        ("average_gap<=2", "average_gap", False, True, 2.0),
        ("ta>=90", "test_accuracy", False, False, 90.0),
        ("auc-distance<=1.5", "auc_forget_vs_test", True, True, 1.5),
        ("tpr-at-1<=3", "recognised_at_one_percent", False, True, 3.0),
    ],
)
def test_names_are_those_of_the_table_and_of_the_format(
    text: str, name: str, distance: bool, at_most: bool, bound: float
) -> None:
    found = parse_requirement(text)
    assert found.metric is not None
    assert (found.metric.name, found.distance, found.at_most, found.bound) == (name, distance, at_most, bound)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("avg-gup<=2", "no metric 'avg-gup'; did you mean 'avg-gap'?"),
        ("indistinguishible", "did you mean 'indistinguishable'?"),
        ("ta", "expected indistinguishable, or a bound in quotes"),
        ("ta>90", "a bound in quotes"),
        ("ta>=nan", "a bound in quotes"),
        ("seconds-distance<=1", "no metric 'seconds-distance'"),
        ("memory<=1", "no metric 'memory'"),
        ("", "expected indistinguishable"),
    ],
)
def test_what_demands_nothing_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(AuditError) as refused:
        parse_requirement(text)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_each_demand_is_measured_with_its_interval() -> None:
    entry, retrained = COMPARED.unlearned[0], COMPARED.retrained
    assert retrained is not None
    accuracy = entry.test_accuracy
    demands = [f"ta>={accuracy}", f"ta<={accuracy - 1}", "auc-distance<=0.1", "indistinguishable"]
    met, missed, apart, word = check_requirements([parse_requirement(text) for text in demands], COMPARED)
    assert (met.value, met.interval, met.met) == (accuracy, entry.intervals["test_accuracy"], True)
    assert not missed.met
    aim, around = retrained.auc_forget_vs_test, entry.intervals["auc_forget_vs_test"]
    assert apart.value == pytest.approx(abs(entry.auc_forget_vs_test - aim), abs=1e-4)
    assert apart.interval == Interval(around.low - aim, around.high - aim).rounded(
        4
    )  # all of it above the aim
    assert (word.value, word.met) == ("INCONCLUSIVE", False)
    line = unmet([met, missed, apart, word])
    assert "unlearned is INCONCLUSIVE; expected INDISTINGUISHABLE (--require)" in line
    assert f"unlearned has {accuracy:.2f}" in line
    assert requirement_lines([met])[-1].endswith("yes")
    assert requirement_lines([missed])[-1].endswith("NO")


@pytest.mark.parametrize(("exchangeable", "known"), [(True, True), (False, False)])
def test_the_distance_is_to_50_where_chance_gives_the_aim(exchangeable: bool, known: bool) -> None:
    audit = audit_models(three(2.0)[:2], precision="W4A4", exchangeable=exchangeable)
    (found,) = check_requirements([parse_requirement("auc-distance<=50")], audit)
    auc = audit.unlearned[0].auc_forget_vs_test
    assert found.value == (pytest.approx(abs(auc - 50), abs=1e-4) if known else None)
    assert found.met == known
    assert (found.interval is not None) == known
    assert unmet([found]) == ("" if known else "unlearned has no value for auc-distance<=50 (--require)")


def test_the_command_line_checks_before_work_and_states_each_demand(
    obliq: Callable[..., Said], way: Way, tmp_path: Path
) -> None:
    words = ("audit", way.original, way.unlearned, "--out", tmp_path / "out")
    for text, message in (
        ("av-gap<=2", "did you mean 'avg-gap'?"),
        ("avg-gap<=2", "expected --retrained FOLDER or --references 4"),
    ):
        refused = obliq(*words, "--require", text)
        assert (refused.status, refused.out, len(refused.err.splitlines())) == (1, "", 1)
        assert message in refused.err
    required = ("--retrained", way.retrained, "--require", "ta>=0", "--require", "avg-gap<=0", "--json")
    said = obliq(*words, *required)
    assert said.status == 3
    assert "obliq: not met: unlearned has" in said.err
    first, second = json.loads(said.out)["requirements"]
    assert (first["requirement"], first["met"], second["met"]) == ("ta>=0", True, False)
    assert first["interval"]["low"] <= first["value"] <= first["interval"]["high"]
    assert second["interval"] is None
