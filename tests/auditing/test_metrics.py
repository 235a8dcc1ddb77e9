import json
from pathlib import Path

import pytest

from obliq.auditing import Audit, Signals, audit_models, parse_audit, render_audit
from obliq.auditing.intervals import Estimate, wilson
from obliq.auditing.measured_values import metrics_in
from obliq.auditing.metric import Metric, Target
from obliq.auditing.metrics import GROUPS, METRICS, RECOGNITION
from obliq.benchmark.report.render import render_benchmark_report
from obliq.benchmark.rows import from_csv, to_csv
from obliq.cli.output import audit_output
from obliq.errors import AuditError
from obliq.report.page import render_audit_report
from tests.auditing.synthetic import references, three
from tests.benchmark.synthetic_rows import CELLS, change_row, synthetic_rows
from tests.report.sample import sample_story

DOCUMENT = Path(__file__).parents[2] / "docs" / "audit-format.md"

TOY = Metric(
    name="sure_and_right",
    label="Toy",
    words="forgotten samples answered correctly with little doubt",
    definition="share of forget samples whose true class has a confidence above 90 %",
    group=RECOGNITION,
    target=Target("like retrained", "0", retrained=True, chance=0),
    digits=3,
    samples=("forget",),
    measure=lambda network: _sure_and_right(network.answers.forget),
)


def _sure_and_right(forget: Signals) -> Estimate:
    percent = 100 * float((forget.confidence > 0.9).mean())
    return Estimate(percent, wilson(percent, len(forget)))


@pytest.fixture(scope="module")
def measured() -> Audit:
    return audit_models(three(), precision="W4A4", references=references())


def test_every_audit_has_the_metrics_of_the_table(measured: Audit) -> None:
    names = [metric.name for metric in metrics_in("audit")]
    for entry in measured.entries:
        assert list(entry.values) == names
        assert all(getattr(entry, name) == entry.values[name] for name in names)
        assert {name for name in names if METRICS[name].required} <= {
            name for name, value in entry.values.items() if value is not None
        }


def test_entries_of_the_table_are_whole() -> None:
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.group in GROUPS
        assert metric.measure is None or metric.compare is None
        assert metric.places == {"benchmark"} or metric.measure or metric.compare
        assert not metric.definition.endswith(".")
        assert all(metric.wanted(aim) for aim in ("retrained", "chance", "unknown"))


def test_what_is_no_metric_is_no_attribute(measured: Audit) -> None:
    with pytest.raises(AttributeError, match="no attribute or metric 'average_gab'"):
        _ = measured.original.average_gab
    assert not hasattr(measured.original, "peak_memory_mb_")
    assert "average_gap" in dir(measured.original)


def test_the_page_on_the_format_has_the_table() -> None:
    expected = [
        f"| `{metric.name}` | {metric.definition} | {metric.target.described} |"
        for metric in metrics_in("audit")
    ]
    lines = DOCUMENT.read_text().splitlines()
    missing = [line for line in expected if line not in lines]
    assert not missing, "docs/audit-format.md lacks\n" + "\n".join(missing)


def test_a_required_number_is_never_null(measured: Audit) -> None:
    content = json.loads(render_audit(measured))
    content["entries"][0]["recognised_at_one_percent"] = None
    assert parse_audit(json.dumps(content)).original.recognised_at_one_percent is None
    content["entries"][0]["test_accuracy"] = None
    with pytest.raises(AuditError, match=r"audit.entries\[0\].test_accuracy is null; expected a number"):
        parse_audit(json.dumps(content))


def test_a_metric_costs_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry alone makes it appear everywhere."""
    monkeypatch.setitem(METRICS, TOY.name, TOY)
    measured = audit_models(three(3.0), precision="W4A4")
    unlearned = measured.unlearned[0]
    value, interval = unlearned.sure_and_right, unlearned.intervals[TOY.name]
    assert interval.low < value < interval.high

    document = json.loads(render_audit(measured))
    assert document["entries"][1][TOY.name] == value
    assert parse_audit(json.dumps(document)) == measured

    page = render_audit_report(measured, sample_story())
    for shown in (TOY.words, f"{value:.3f}", f"{interval.low:.1f} to {interval.high:.1f}"):
        assert shown in page

    printed = audit_output(measured, Path(), ())
    assert printed.values["entries"][1][TOY.name] == value
    table = "\n".join(printed.lines)
    assert TOY.label in table
    assert f"{value:.3f}" in table

    rows = synthetic_rows(("fine-tune",), CELLS[:1], seeds=(1,))
    row = change_row(rows[-1], **{TOY.name: value})
    columns, cells = (line.split(",") for line in to_csv([row]).splitlines())
    assert dict(zip(columns, cells, strict=True))[TOY.name] == str(value)
    assert from_csv(to_csv([row])) == [row]
    text, page = render_benchmark_report([*rows[:-1], row], "toy")
    for shown in (text, page):
        assert TOY.words in shown
        assert f"{value:.3f}" in shown

    # a file of an audit before the entry is one of another version
    monkeypatch.delitem(METRICS, TOY.name)
    with pytest.raises(AuditError, match="unknown field 'sure_and_right'"):
        parse_audit(json.dumps(document))
