import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from obliq.auditing import Audit, AuditedModel, audit_models
from obliq.auditing.comparison import GAP_OVER
from obliq.errors import AuditError
from tests.auditing.synthetic import network, three


@pytest.fixture(scope="module")
def measured() -> Audit:
    return audit_models(three()[::-1], precision="W4A4", digests={"partition": "b" * 64})


def test_order_and_verdicts(measured: Audit) -> None:
    assert [entry.kind for entry in measured.entries] == ["original", "unlearned", "retrained"]
    assert [entry.verdict is None for entry in measured.entries] == [True, False, True]
    assert measured.retrained is measured.entries[2]
    assert measured.unlearned == measured.entries[1:2]


def test_gap_and_ratio_are_measured_from_the_retrained_network(measured: Audit) -> None:
    original, unlearned, retrained = measured.entries
    for entry in measured.entries:
        differences = [abs(getattr(entry, name) - getattr(retrained, name)) for name in GAP_OVER]
        assert entry.average_gap == pytest.approx(np.mean(differences), abs=1e-3)
    assert retrained.average_gap == 0
    assert unlearned.time_ratio == pytest.approx(5 / 38, abs=1e-4)
    assert original.average_gap is not None
    assert unlearned.average_gap is not None
    assert original.average_gap > unlearned.average_gap


def test_no_reference_no_gap() -> None:
    alone = audit_models(three()[:2], precision="W4A4")
    assert alone.retrained is None
    assert all(entry.average_gap is None and entry.time_ratio is None for entry in alone.entries)


def test_numbers_point_the_right_way(measured: Audit) -> None:
    original, unlearned, retrained = measured.entries
    assert original.auc_forget_vs_test > 65
    assert abs(unlearned.auc_forget_vs_test - 50) < 6
    assert original.mia_svc_confidence < retrained.mia_svc_confidence
    assert original.entropy_forget < unlearned.entropy_forget
    for name, interval in original.intervals.items():
        assert interval.low <= getattr(original, name) <= interval.high


def test_counts_leave_out_forgotten_classes() -> None:
    counted = audit_models(three(), precision="W4A4", forgotten_classes={0}).counts
    assert (counted.test, counted.test_scored, counted.unseen) == (900, 675, 900)
    assert (counted.attack_members, counted.attack_non_members) == (900, 900)


def test_histograms_hold_shares_and_hide_small_roles(measured: Audit) -> None:
    for entry in measured.entries:
        for histogram in (*entry.confidence.values(), *entry.entropy.values()):
            assert sum(histogram.shares) == pytest.approx(1, abs=1e-4)
            assert len(histogram.edges) == len(histogram.shares) + 1
    few = audit_models(three(forget=9), precision="W4A4")
    assert all(set(entry.confidence) == {"retain", "test"} for entry in few.entries)


def test_several_unlearned_networks_keep_their_names() -> None:
    models = three()
    another = AuditedModel(kind="unlearned", name="fine-tune", answers=network(3.0, 4))
    assert [entry.name for entry in audit_models([*models, another], precision="W4A4").unlearned] == [
        "unlearned",
        "fine-tune",
    ]


def test_what_cannot_be_compared_is_refused() -> None:
    original, unlearned, retrained = three()
    other = AuditedModel(kind="unlearned", answers=network(2.0, forget=399))
    for models, says in (
        ([unlearned], "0 original"),
        (
            [original, unlearned, retrained, dataclasses.replace(retrained, name="again")],
            "give the same answers",
        ),
        ([original, unlearned, unlearned], "two networks are called 'unlearned'"),
        ([original, other], "different forget samples"),
    ):
        with pytest.raises(AuditError, match=says):
            audit_models(models, precision="W4A4")


def test_importing_the_room_leaves_heavy_packages_alone() -> None:
    heavy = ("matplotlib", "scipy", "sklearn", "jinja2")
    code = (
        f"import sys, obliq.auditing, obliq.report; print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
