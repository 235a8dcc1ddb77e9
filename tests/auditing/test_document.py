import json
import re
from pathlib import Path
from typing import Any

import pytest

from obliq.auditing import Audit, AuditedModel, audit_models, parse_audit, render_audit
from obliq.auditing.document import AUDIT_DOCUMENT
from obliq.auditing.metrics import METRICS
from obliq.errors import AuditError
from tests.auditing.synthetic import network, shipped, three

DOCUMENT = Path(__file__).parents[2] / "docs" / "audit-format.md"


@pytest.fixture(scope="module")
def measured() -> Audit:
    again = AuditedModel(kind="retrained", name="again", answers=network(2.0, 9))
    return audit_models([*three(), shipped(), again], precision="W4A4", digests={"partition": "b" * 64})


def test_round_trip(measured: Audit) -> None:
    text = render_audit(measured)
    assert parse_audit(text) == measured
    assert render_audit(parse_audit(text)) == text
    assert "NaN" not in text


def test_every_field_is_documented(measured: Audit) -> None:
    described = set(re.findall(r"`(\w+)`", DOCUMENT.read_text()))
    named_freely = {
        "digests",
        "settings",
        "intervals",
        "confidence",
        "entropy",
    }  # mappings: their keys are data

    def fields(content: Any) -> set[str]:
        if isinstance(content, list):
            return set().union(*map(fields, content)) if content else set()
        if not isinstance(content, dict):
            return set()
        below = [
            set().union(set(), *map(fields, value.values())) if key in named_freely else fields(value)
            for key, value in content.items()
        ]
        return set(content).union(*below)

    assert fields(json.loads(render_audit(measured))) <= described


def test_intervals_are_named_after_fields(measured: Audit) -> None:
    names = {metric.name for metric in METRICS.values()}
    assert all(set(entry.intervals) <= names for entry in measured.entries)


def changed(text: str, **changes: Any) -> str:
    return json.dumps(json.loads(text) | changes)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": 3}, f"version is 3, which an older Obliq wrote; expected 4 or {AUDIT_DOCUMENT.version}"),
        ({"version": True}, "version is true; expected a whole number"),
        ({"version": "1"}, 'version is "1"; expected a whole number'),
        ({"schema": "else"}, 'schema is "else"; expected "obliq.audit"'),
        ({"precision": 4}, "audit.precision is 4; expected a text"),
        ({"classes": 4.5}, "audit.classes is 4.5; expected a whole number"),
        ({"classes": True}, "expected a whole number"),
        ({"extra": 1}, "unknown field 'extra'"),
        ({"entries": []}, "expected the original first"),
        ({"entries": {}}, "expected a list"),
        ({"aim": "best"}, 'audit.aim is "best"; expected one of retrained, chance, unknown'),
        ({"counts": []}, "expected an object"),
        ({"digests": {"a": None}}, "audit.digests['a'] is null"),
    ],
)
def test_strange_files_are_refused_in_one_line(measured: Audit, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(AuditError, match=re.escape(says)) as refused:
        parse_audit(changed(render_audit(measured), **changes))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(AuditError, match=r"not readable as JSON|expected a JSON object"):
        parse_audit(text)


def test_missing_fields_and_strange_numbers_are_refused(measured: Audit) -> None:
    content = json.loads(render_audit(measured))
    del content["counts"]["unseen"]
    with pytest.raises(AuditError, match=r"audit.counts has no field 'unseen'"):
        parse_audit(json.dumps(content))
    with pytest.raises(AuditError, match="NaN is not a finite number"):
        parse_audit(render_audit(measured).replace('"seconds": 40.0', '"seconds": NaN'))
    with pytest.raises(AuditError, match="1e999 is not a finite number"):
        parse_audit(render_audit(measured).replace('"seconds": 40.0', '"seconds": 1e999'))
    with pytest.raises(AuditError, match="expected one of original"):
        parse_audit(render_audit(measured).replace('"kind": "original"', '"kind": "first"'))
    content = json.loads(render_audit(measured))
    content["entries"][1]["verdict"]["comparisons"][0]["deviation"] = 0
    with pytest.raises(AuditError, match="expected two or more, and a deviation above 0"):
        parse_audit(json.dumps(content))
    content = json.loads(render_audit(measured))
    content["entries"][0]["entropy"]["forget"]["shares"].pop()
    with pytest.raises(AuditError, match="one more edge"):
        parse_audit(json.dumps(content))
