"""A recording of a device next to the networks of an audit."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import obliq
from obliq.auditing import Artifact, AuditedModel, audit_models, parse_audit, render_audit
from obliq.auditing.signals import Signals, compute_signals
from obliq.cli.output import audit_output
from obliq.data import Splits
from obliq.errors import AuditError, DataError
from obliq.report.page import render_audit_report
from obliq.workflow.device_answers import (
    DeviceRecording,
    add_device,
    load_recording,
    recording_settings,
    samples_to_run,
)
from tests.auditing.synthetic import network, shipped, three
from tests.report.sample import sample_story
from tests.workflow.networks_and_sets import FORMS, sets

PLACES = {"forget": np.arange(0, 400, 2), "retain": np.arange(300), "test": np.arange(100, 700)}
MODELS = [*three(3.0), shipped(3.0)]


def rows(model: AuditedModel, role: str) -> np.ndarray:
    return getattr(model.answers, role).logits.double().numpy()[PLACES[role]]


def recording(recorded: str, change: Any = lambda logits: logits) -> DeviceRecording:
    """What a device records that computes as the file does, but for a change."""
    values = {role: change(rows(MODELS[-1], role)) for role in PLACES}
    return DeviceRecording(recorded=recorded, places=PLACES, values=values, file_digest="f" * 64)


def softmax(logits: np.ndarray) -> np.ndarray:
    return torch.from_numpy(logits).softmax(dim=1).numpy()


def one_hot(logits: np.ndarray) -> np.ndarray:
    return np.eye(logits.shape[1])[logits.argmax(axis=1)]


def audited(given: DeviceRecording) -> Any:
    return audit_models(add_device(MODELS, given), precision="W4A4")


@pytest.mark.parametrize("recorded", ["logits", "probabilities"])
def test_answers_keep_whose_the_samples_are(recorded: str) -> None:
    def owned(signals: Signals | None) -> Signals | None:
        return signals and dataclasses.replace(signals, subjects=torch.arange(len(signals)) % 20)

    models = [
        dataclasses.replace(
            one,
            answers=dataclasses.replace(
                one.answers, **{role: owned(getattr(one.answers, role)) for role in PLACES}
            ),
        )
        for one in MODELS
    ]
    given = recording(recorded, softmax if recorded == "probabilities" else lambda logits: logits)
    for model in add_device(models, given):
        for role, places in PLACES.items():
            owners = getattr(model.answers, role).subjects
            assert owners.tolist() == (places % 20).tolist(), (model.title, role)


def test_a_device_that_computes_as_the_file_measures_as_the_file_on_the_recorded_samples() -> None:
    found = audited(recording("logits"))
    device, file = found.devices[0], found.artifacts[0]
    assert device.values == file.values | {"seconds": None, "changed_codes_percent": None}
    assert device.verdict == file.verdict
    assert (found.counts.forget, found.counts.retain, found.counts.test, found.counts.holdout) == (
        200,
        300,
        600,
        0,
    )
    about = device.device
    assert (about.network, about.recorded, about.same_classes) == ("file", "logits", 100.0)
    assert (about.largest_difference, about.scale, about.floor, about.moved) == (0.0, 1.0, None, ())
    assert about.interval.low < 100 == about.interval.high
    right = [rows(MODELS[-1], "forget").argmax(axis=1) == np.arange(400)[::2] % 4]
    assert device.forget_accuracy == pytest.approx(100 * np.mean(right), abs=1e-4)


def test_differences_and_units_are_measured() -> None:
    def one_off(logits: np.ndarray) -> np.ndarray:
        changed = logits.copy()
        changed[0, :] = np.roll(logits[0, :], 1)  # another class for the first sample of each role
        return changed

    found = audited(recording("logits", one_off)).devices[0].device
    assert found.same_classes == pytest.approx(100 * (1 - 3 / 1100), abs=1e-4)
    largest = max(np.abs(one_off(rows(MODELS[-1], role)) - rows(MODELS[-1], role)).max() for role in PLACES)
    assert found.largest_difference == pytest.approx(largest, abs=1e-6)
    scaled = audited(recording("logits", lambda logits: 20 * logits)).devices[0].device
    assert scaled.scale == pytest.approx(20)
    assert "the device's logits are 20 times those of file" in scaled.warnings[0]
    constant = audited(recording("logits", np.zeros_like)).devices[0]
    assert "retain_accuracy" in constant.device.moved


def test_probabilities_give_the_same_attacks_and_rounded_ones_round_every_network() -> None:
    exact = audited(recording("probabilities", softmax))
    device, file = exact.devices[0], exact.artifacts[0]
    for name in ("auc_forget_vs_test", "mia_svc_confidence", "entropy_forget"):
        assert device.values[name] == pytest.approx(file.values[name], abs=1e-3)
    assert device.device.floor is None
    bytes_ = recording("probabilities", lambda logits: np.round(softmax(logits) * 255) / 255)
    rounded = audited(bytes_)
    assert rounded.devices[0].device.floor == pytest.approx(0.5 / 255)
    assert "rounds probabilities" in rounded.devices[0].device.warnings[0]
    assert "at least 0.002" in recording_settings(bytes_)["recorded on a device"]
    entropy = (audit.artifacts[0].entropy_retain for audit in (rounded, exact))
    assert next(entropy) > next(entropy)  # no probability of the file is below the device's floor


def test_classes_alone_leave_out_what_they_cannot_show(tmp_path: Path) -> None:
    found = audited(recording("classes", one_hot))
    device, file = found.devices[0], found.artifacts[0]
    known = {name for name, value in device.values.items() if value is not None}
    assert known == {"unlearning_accuracy", "forget_accuracy", "retain_accuracy", "test_accuracy", "tow"}
    assert all(device.values[name] == file.values[name] for name in known)
    assert (device.confidence, device.entropy) == ({}, {})
    assert (device.verdict.word, device.verdict.next_step) == ("INCONCLUSIVE", "record logits")
    assert parse_audit(render_audit(found)) == found
    with pytest.raises(AuditError, match="test_accuracy is null"):
        parse_audit(
            render_audit(found).replace(f'"test_accuracy": {device.test_accuracy}', '"test_accuracy": null')
        )
    page = render_audit_report(found, sample_story(trace=(), training={}))
    assert "What the device answered" in page
    assert "Only classes were recorded, so MIA" in page
    printed = "\n".join(audit_output(found, tmp_path, ()).lines)
    assert "device: classes recorded; 100.00 % same classes as file" in printed


def test_accuracies_can_refuse_a_recording_of_classes() -> None:
    again = [
        AuditedModel(kind="retrained", name=f"again {seed}", answers=network(2.0, seed)) for seed in (8, 9)
    ]
    guessing = recording(
        "classes", lambda logits: one_hot(np.random.default_rng(0).normal(size=logits.shape))
    )
    found = audit_models(add_device([*MODELS, *again], guessing), precision="W4A4").devices[0]
    assert found.verdict.word == "DAMAGED"
    assert {one.name for one in found.verdict.comparisons} == {
        "forget_accuracy",
        "retain_accuracy",
        "test_accuracy",
    }


def test_it_must_be_clear_what_the_device_runs() -> None:
    other = dataclasses.replace(MODELS[-1], name="second")
    with pytest.raises(AuditError, match=r"answers of a device to 2 networks \(file, second\)"):
        add_device([*MODELS, other], recording("logits"))
    named = dataclasses.replace(MODELS[1], name="device")
    with pytest.raises(AuditError, match="a network is called 'device'"):
        add_device([MODELS[0], named, MODELS[2]], recording("logits"))
    assert add_device(MODELS[:3], recording("logits"))[-1].device.network == "unlearned"
    assert isinstance(MODELS[-1].artifact, Artifact)


def write(file: Path, splits: Splits, ids: Any, classes: int = 3, **arrays: Any) -> Path:
    np.savez(file, **({"id": ids, "logits": np.zeros((len(ids), classes))} | arrays))
    return file


def test_ids_find_their_roles_in_any_order(splits: Splits, original: nn.Module, tmp_path: Path) -> None:
    chosen = samples_to_run(splits, 20)
    order = np.random.default_rng(0).permutation(len(chosen))
    ids = chosen.indices.numpy()[order]
    signals = compute_signals(original, chosen, torch.device("cpu"))
    file = write(tmp_path / "a.npz", splits, ids, logits=signals.logits.numpy()[order])
    found = load_recording(file, splits, 3)
    assert len(found) == len(chosen)
    for role in ("forget", "retain", "test"):
        part = getattr(splits, role)
        marks = np.zeros(len(part), dtype=bool)
        marks[found.places[role]] = True
        expected = compute_signals(original, part, torch.device("cpu")).where(marks)
        assert np.allclose(found.values[role], expected.logits.numpy(), atol=1e-5)
        assert 0 < marks.sum() <= 20
    assert not len(found.places["holdout"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda ids: [*ids, 100_000],
            "1 of 55 ids are not in toy, the first '100000'; expected ids of it (0 to 239)",
        ),
        (lambda ids: [*ids, ids[0]], "has two answers; expected one for each sample"),
        (lambda ids: ids[-3:], "the device answered no forget"),
    ],
)
def test_ids_that_do_not_fit_are_refused_in_one_line(
    splits: Splits, tmp_path: Path, change: Any, message: str
) -> None:
    ids = samples_to_run(splits, 20).indices.tolist()
    given = change(ids)
    with pytest.raises(DataError) as refused:
        load_recording(write(tmp_path / "a.npz", splits, given), splits, 3)
    assert message.replace("55", str(len(given))) in str(refused.value)
    assert str(refused.value).startswith(str(tmp_path / "a.npz"))
    assert "\n" not in str(refused.value)


def test_ids_without_a_role_are_refused(splits: Splits, tmp_path: Path) -> None:
    fewer = dataclasses.replace(splits, test=splits.test.take(3))
    ids = samples_to_run(splits, 20).indices.tolist()
    with pytest.raises(
        DataError, match=r"\d+ of \d+ ids have no role, the first \d+; expected samples of the training"
    ):
        load_recording(write(tmp_path / "a.npz", splits, ids), fewer, 3)


def test_samples_of_forgotten_classes_are_among_the_unseen(parts: Any) -> None:
    splits = parts.forgetting(parts.train.indices[parts.train.labels == 2])
    chosen = samples_to_run(splits, 8)
    unseen = torch.isin(splits.test.indices, chosen.indices)
    assert int((splits.test.labels[unseen] == 2).sum()) >= 8
    assert chosen.indices.tolist() == sorted(chosen.indices.tolist())  # an order that does not show the roles
    with pytest.raises(DataError, match="samples 0; expected 1 or more"):
        samples_to_run(splits, 0)


def test_python_takes_logits_by_set(original: nn.Module, splits: Splits) -> None:
    given = sets(splits, FORMS["pairs of tensors"], "forget", "retain", "test")
    cpu = torch.device("cpu")
    answers = {role: compute_signals(original, getattr(splits, role), cpu).logits.numpy() for role in given}
    audit = obliq.audit(original, original, **given, answers=answers, device="cpu")
    device = audit.devices[0]
    assert device.device.network == "unlearned"
    assert device.values["retain_accuracy"] == audit.unlearned[0].values["retain_accuracy"]
    assert device.device.largest_difference == pytest.approx(0, abs=1e-4)
    for wrong, message in (
        ({"train": answers["forget"]}, "'train'; expected logits by the name of a set"),
        ({"forget": answers["forget"][:-1]}, "answers: forget has shape"),
        ({"forget": answers["forget"] * np.nan}, "answers: forget holds NaN"),
        ({"forget": answers["forget"]}, "answered no retain samples"),
    ):
        with pytest.raises(DataError, match=message):
            obliq.audit(original, original, **given, answers=wrong, device="cpu")
    with pytest.raises(AuditError, match="answers of a device to 2 networks"):
        obliq.audit(original, {"a": original, "b": original}, **given, answers=answers, device="cpu")
