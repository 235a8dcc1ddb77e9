"""Rows of shipped files: beside their network, flagged where they leave its interval."""

import dataclasses
import json

import pytest

from obliq.auditing import audit_models, parse_audit, render_audit
from obliq.errors import AuditError
from tests.auditing.synthetic import shipped, three


def test_a_file_that_answers_alike_has_not_moved() -> None:
    measured = audit_models([*three(), shipped()], precision="W4A4")
    assert [entry.name for entry in measured.entries] == ["original", "unlearned", "file", "retrained"]
    network, file = measured.unlearned
    assert measured.artifacts == (file,)
    assert file.artifact is not None
    assert file.artifact.moved == ()
    assert (file.auc_forget_vs_test, file.average_gap) == (network.auc_forget_vs_test, network.average_gap)
    assert file.verdict == network.verdict


def test_what_leaves_the_interval_of_the_network_is_named() -> None:
    measured = audit_models([*three(), shipped(3.5)], precision="W4A4")
    network, file = measured.unlearned
    assert file.artifact is not None
    outside = [
        name
        for name, interval in network.intervals.items()
        if not interval.low <= getattr(file, name) <= interval.high
    ]
    assert list(file.artifact.moved) == outside
    assert "auc_forget_vs_test" in outside
    assert "retain_accuracy" not in outside  # the same answers


def test_alone_it_has_nothing_to_move_from() -> None:
    original, _, retrained = three()
    measured = audit_models([original, shipped(3.5, of=None), retrained], precision="W4A4")
    assert measured.unlearned[0].artifact is not None
    assert measured.unlearned[0].artifact.moved == ()


def test_its_network_must_be_there() -> None:
    with pytest.raises(AuditError, match="belongs to 'other', which is not audited"):
        audit_models([*three(), shipped(of="other")], precision="W4A4")
    content = json.loads(render_audit(audit_models([*three(), shipped()], precision="W4A4")))
    for entry in content["entries"]:
        if entry["artifact"]:
            entry["artifact"]["network"] = "nobody"
    with pytest.raises(
        AuditError, match="expected an unlearned one, exported from a network of the same audit"
    ):
        parse_audit(json.dumps(content))


def test_the_same_file_is_not_named_twice() -> None:
    twice = [shipped(), dataclasses.replace(shipped())]
    with pytest.raises(AuditError, match="two networks are called 'file'"):
        audit_models([*three(), *twice], precision="W4A4")
