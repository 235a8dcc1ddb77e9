"""Audits of networks that a caller holds: no record of ours is needed, and what is unknown is left open."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import obliq
from obliq.auditing import Audit
from obliq.auditing.document import parse_audit, render_audit
from obliq.checkpoints import Blueprint
from obliq.data import Examples, Partition, Splits
from obliq.errors import AuditError, DataError, ObliqError
from obliq.methods import FineTune
from obliq.quantization import weights_digest
from obliq.run import Run
from obliq.training.loop import Recipe
from obliq.workflow.audit_networks import precision_of
from obliq.workflow.compare_runs import compare_runs
from obliq.workflow.new_request import create_request
from obliq.workflow.pipeline import train_original, unlearn_original
from tests.workflow.networks_and_sets import FORMS, ROLES, Elsewhere, sets, trained_elsewhere

SHORT = Recipe(epochs=2, batch_size=32)
PAIRS = FORMS["pairs of tensors"]


@pytest.fixture(scope="module")
def unlearned(original: nn.Module, splits: Splits) -> nn.Module:
    return FineTune(epochs=1).unlearn(original, splits, Run(seed=2))


@pytest.fixture(scope="module")
def retrained(original: nn.Module, splits: Splits) -> nn.Module:
    return obliq.retrain(original, splits.retain, SHORT, device="cpu", progress=False)


@pytest.fixture(scope="module")
def audited(original: nn.Module, unlearned: nn.Module, retrained: nn.Module, splits: Splits) -> Audit:
    return obliq.audit(original, unlearned, **sets(splits, PAIRS, *ROLES), retrained=retrained, device="cpu")


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_the_numbers_do_not_depend_on_the_form_of_the_data(
    form: Callable[[Examples], Any],
    original: nn.Module,
    unlearned: nn.Module,
    retrained: nn.Module,
    splits: Splits,
    audited: Audit,
) -> None:
    found = obliq.audit(original, unlearned, **sets(splits, form, *ROLES), retrained=retrained, device="cpu")
    # only samples of one collection come with the people, who are ranked, and whose number widens intervals
    known, expected = (
        [dataclasses.replace(entry, exposure=None, intervals={}) for entry in one.entries]
        for one in (found, audited)
    )
    assert known == expected
    for one, other in zip(found.entries, audited.entries, strict=True):
        for name, interval in other.intervals.items():
            assert one.intervals[name].half_width >= interval.half_width
    assert found.counts == audited.counts


def test_the_numbers_are_those_of_networks_with_a_record(parts: Partition) -> None:
    form = Blueprint(architecture="convnet", input_shape=(1, 6, 6), classes=3)
    made = train_original(parts, form, SHORT, Run(seed=1))
    splits, request = create_request(parts, "random=10%", 0)
    after = unlearn_original(made.checkpoint, splits, request, FineTune(epochs=1), Run(seed=2))
    expected = compare_runs(made.checkpoint, {"unlearned": after}, splits, torch.device("cpu"))
    given = sets(splits, PAIRS, *ROLES)
    networks = made.checkpoint.model, after.checkpoint.model
    found = obliq.audit(*networks, **given, chosen_at_random=True, device="cpu")
    assert found.precision == expected.precision == "W4A4"
    assert found.counts == expected.counts
    for mine, theirs in zip(found.entries, expected.entries, strict=True):
        known = {name: value for name, value in theirs.values.items() if name != "seconds"}
        assert {name: mine.values[name] for name in known} == known
        assert mine.seconds is None
        assert (mine.verdict, mine.weights_digest) == (theirs.verdict, theirs.weights_digest)


def test_it_is_a_document_like_any_other(audited: Audit, tmp_path: Any) -> None:
    assert parse_audit(render_audit(audited)) == audited
    report = obliq.write_report(audited, tmp_path / "out")
    assert "not recorded" in report.read_text()
    assert sorted(file.name for file in report.parent.iterdir()) == [
        "audit.json",
        "files.json",
        "report.html",
    ]


def test_without_a_holdout_set_its_number_is_left_out(
    original: nn.Module, unlearned: nn.Module, splits: Splits, audited: Audit, tmp_path: Any
) -> None:
    found = obliq.audit(original, unlearned, **sets(splits, PAIRS, "forget", "retain", "test"), device="cpu")
    assert found.counts.holdout == 0
    assert found.original.values["entropy_holdout"] is None
    assert found.original.forget_accuracy == audited.original.forget_accuracy
    assert parse_audit(render_audit(found)) == found
    obliq.write_report(found, tmp_path / "out")


def test_it_is_read_in_a_few_lines_of_eighty_columns(audited: Audit) -> None:
    lines = str(audited).splitlines()
    assert len(lines) <= 12
    assert max(map(len, lines)) <= 80
    for word in ("UA", "RA", "TA", "MIA", "AUC", "Avg. Gap", "verdict"):
        assert word in lines[0]
    assert [line.split()[0] for line in lines[1:4]] == ["original", "unlearned", "retrained"]
    assert audited.unlearned[0].verdict.word in lines[2]
    assert f"{audited.original.test_accuracy:.1f}" in lines[1]


def test_long_names_and_many_networks_still_fit(original: nn.Module, splits: Splits) -> None:
    named = {f"after {'a long name ' * number}": original for number in (1, 9)}
    lines = str(obliq.audit(original, named, **sets(splits, PAIRS, *ROLES))).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines[1:4]) == 3


def test_several_networks_are_audited_by_name(
    original: nn.Module, unlearned: nn.Module, splits: Splits
) -> None:
    found = obliq.audit(original, {"a": unlearned, "b": original}, **sets(splits, PAIRS, *ROLES))
    assert [entry.name for entry in found.entries] == ["original", "a", "b"]
    assert found.entries[2].changed_codes_percent == 0
    assert found.entries[1].weights_digest == weights_digest(unlearned)
    for names in ({}, {"original": unlearned}, {"retrained": unlearned}):
        with pytest.raises(AuditError, match="expected one or more, under names other than"):
            obliq.audit(original, names, **sets(splits, PAIRS, *ROLES))


def test_float_networks_of_others_are_audited(parts: Partition, splits: Splits) -> None:
    network = trained_elsewhere(parts.train)
    before = copy.deepcopy(network.state_dict())
    other = copy.deepcopy(network)
    found = obliq.audit(network, other, **sets(splits, PAIRS, *ROLES), retrained=Elsewhere().eval())
    assert found.precision == "FP32"
    assert found.entries[1].changed_codes_percent is None
    assert found.settings["provenance"].startswith("not recorded")
    assert found.entries[1].forget_accuracy == found.original.forget_accuracy
    assert found.retrained is not None
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_request_of_chance_has_an_aim_without_retraining(
    original: nn.Module, unlearned: nn.Module, splits: Splits
) -> None:
    given = sets(splits, PAIRS, *ROLES)
    unknown = obliq.audit(original, unlearned, **given)
    assert unknown.aim == "unknown"
    assert "Other targets are not known without retraining" in " ".join(str(unknown).split())
    assert obliq.audit(original, unlearned, **given, chosen_at_random=True).aim == "chance"


def test_several_retrained_networks_may_be_given(
    original: nn.Module, unlearned: nn.Module, splits: Splits
) -> None:
    given = sets(splits, PAIRS, *ROLES)
    several = [Elsewhere(), Elsewhere()]
    found = obliq.audit(original, unlearned, **given, retrained=several)
    assert (found.counts.retrained, found.aim) == (2, "retrained")
    assert [entry.name for entry in found.entries] == ["original", "unlearned", "retrained"]
    with pytest.raises(AuditError, match="'retrained' and 'retrained 2' give the same answers"):
        obliq.audit(original, unlearned, **given, retrained=several[:1] * 2)


@pytest.mark.parametrize(
    ("precision", "words"), [("W4A4", "W4A4"), ("W2A8", "W2A8"), ("W8A8", "W8A8"), ("FP32", "FP32")]
)
def test_bits_are_read_from_the_network(precision: str, words: str) -> None:
    assert precision_of(obliq.create_network("convnet", (1, 8, 8), 4, precision=precision)) == words
    assert precision_of(Elsewhere()) == "FP32"


class OfOtherClasses(nn.Module):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.flatten(1)[:, :5]


class Undefined(nn.Module):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.flatten(1)[:, :3] * torch.nan


def test_networks_that_do_not_fit_are_named(original: nn.Module, splits: Splits) -> None:
    given = sets(splits, PAIRS, *ROLES)
    with pytest.raises(AuditError, match="odd distinguishes 5 classes; expected 3, as the original"):
        obliq.audit(original, {"odd": OfOtherClasses()}, **given)
    with pytest.raises(AuditError, match=r"odd: the network answers .* with NaN"):
        obliq.audit(original, {"odd": Undefined()}, **given)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"test": (torch.zeros(5, 1, 2, 2), torch.arange(5) % 3)}, "test has samples of shape"),
        ({"test": (torch.zeros(5, 1, 6, 6), torch.arange(5))}, "test has label 4"),
        ({"test": (torch.zeros(0, 1, 6, 6), torch.arange(0))}, "test: no samples"),
        ({"test": "retain"}, "retain samples are in test too"),
    ],
)
def test_sets_that_do_not_fit_are_named(
    changes: dict[str, Any], words: str, original: nn.Module, splits: Splits
) -> None:
    given = sets(splits, PAIRS, *ROLES)
    changes = {role: given[data] if isinstance(data, str) else data for role, data in changes.items()}
    with pytest.raises(ObliqError, match=words) as caught:
        obliq.audit(original, original, **{**given, **changes})
    assert "\n" not in str(caught.value)


def test_a_test_set_without_the_forgotten_classes_is_refused(original: nn.Module, splits: Splits) -> None:
    given = sets(splits, PAIRS, *ROLES)
    inputs, labels = given["forget"]
    given["forget"] = inputs[labels == 0], labels[labels == 0]
    inputs, labels = given["test"]
    given["test"] = inputs[labels != 0], labels[labels != 0]
    with pytest.raises((AuditError, DataError), match="no sample of the forget set's classes"):
        obliq.audit(original, original, **given)
