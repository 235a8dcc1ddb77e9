"""Audit exported files alone: an original, unlearned files and a retrained one, on the same samples.

A file does not record its training data, so the caller states the data set and how it was divided. A record
next to a file, as `obliq unlearn` leaves it, must name this original and this request.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from obliq.auditing import (
    Artifact,
    Audit,
    AuditedModel,
    audit_models,
    compute_predictor_signals,
    measure_exposure,
)
from obliq.auditing.measure import ROLES
from obliq.auditing.probe import probe_signals
from obliq.auditing.relearning import relearn
from obliq.auditing.signals import RoleSignals
from obliq.checkpoints.file_record import FileRecord
from obliq.data import MissingExamples, Partition, Splits, parse_selector
from obliq.data.input_contract import InputContract
from obliq.data.request_file import Request
from obliq.data.selectors import RandomCount, RandomShare, Several
from obliq.errors import AuditError, DataError, ModelError
from obliq.exporting import ExportedFile, share_of_changed_codes
from obliq.training.prediction import Predictor, TorchPredictor
from obliq.workflow.device_answers import DeviceRecording, add_device, recording_settings
from obliq.workflow.repeated_trainings import require_different_files


@dataclass(frozen=True, kw_only=True)
class GivenFile:
    """A file to audit, and its record where there is one."""

    shipped: ExportedFile
    record: FileRecord | None = None


def compare_files(
    original: ExportedFile,
    unlearned: Mapping[str, GivenFile],
    retrained: Sequence[ExportedFile],
    splits: Splits,
    request: Request,
    recording: DeviceRecording | None = None,
    answered: str | None = None,
    original_network: str | None = None,
) -> Audit:
    """Audit files without the networks that they were exported from.

    Args:
        original: the file before the request.
        unlearned: files after the request, by name; of the original's form.
        retrained: files of networks trained without the forget set; only samples and classes must be the same. Gaps are
            measured from the first.
        splits: the roles of the samples under the request.
        request: decides whether there is a value to aim at without a retrained network.
        recording: answers of a device that runs the unlearned file; every file is then measured on its samples alone.
        answered: the digest of the request that the files answer, where `splits` and `request` are those of an earlier
            one, or of a part.
        original_network: weights digest of the network that the original was exported from, where it is recorded.

    Raises:
        AuditError: when a file is of another form, or its record names another original or request.
        DataError: when the samples do not fit a file.
    """
    for name, given in unlearned.items():
        _require_related(name, given, original, original_network, answered or splits.digest)
    for file in (
        original,
        *(given.shipped for given in unlearned.values()),
        *retrained,
    ):
        require_fitting(file, splits.partition)
    require_different_files(
        {retrained_name(number): (file, _moved(original, file)) for number, file in enumerate(retrained, 1)}
    )
    models = [AuditedModel(kind="original", answers=role_signals(original.predictor, splits))]
    for name, given in unlearned.items():
        share = share_of_changed_codes(original.contents, given.shipped.contents)
        models.append(
            AuditedModel(
                kind="unlearned",
                name=name,
                answers=role_signals(given.shipped.predictor, splits),
                seconds=None if given.record is None else given.record.provenance.seconds,
                changed_codes_percent=None if share is None else 100 * share,
                artifact=_artifact(given.shipped),
            )
        )
    digests = file_digests("original", original)
    for number, file in enumerate(retrained, 1):
        title = retrained_name(number)
        answers = role_signals(file.predictor, splits)
        models.append(AuditedModel(kind="retrained", name=title, answers=answers))
        digests |= file_digests(title, file)
    models = with_exposure(models, splits)
    measured = audit_models(
        models if recording is None else add_device(models, recording),
        precision=original.precision,
        forgotten_classes=splits.forgotten_classes,
        digests={
            "partition": splits.partition.digest,
            "splits": splits.digest,
            **digests,
        },
        exchangeable=is_exchangeable(request),
    )
    ends = "original and retrained" if retrained else "original"
    settings = {
        **measured.settings,
        f"{ends}, as files": f"run by {original.predictor.runtime}",
        **recording_settings(recording),
    }
    return dataclasses.replace(measured, settings=settings)


def _moved(original: ExportedFile, file: ExportedFile) -> float | None:
    """The share of codes that differ from the original's; None for a file of another form, or of floats."""
    with suppress(ModelError):
        return share_of_changed_codes(original.contents, file.contents)
    return None


def require_fitting(shipped: ExportedFile, parts: Partition) -> None:
    """Raise unless a file reads the samples of a data set, scaled as they are, and distinguishes the same classes.

    Raises:
        DataError: with the shapes, the scales or the classes that differ.
    """
    wanted, given = shipped.contents.input_shape, parts.collection.sample_shape
    if given != wanted:
        raise DataError(
            f"{parts.collection.name} has samples of shape {given}; {shipped.name} expects {wanted}"
        )
    if shipped.contents.inputs is not None:
        given_inputs = InputContract.of(parts.collection)
        shipped.contents.inputs.require_same(given_inputs, shipped.name, parts.collection.name)
    sample = parts.collection.fetch(parts.train.indices[:1])
    classes = shipped.predictor.predict(sample).shape[1]
    if classes != parts.collection.classes:
        raise DataError(
            f"{parts.collection.name} has {parts.collection.classes} classes; {shipped.name} distinguishes {classes}"
        )


def is_exchangeable(request: Request) -> bool:
    """Whether chance alone decided which samples a request is about."""
    selector = parse_selector(request.selector)
    every = selector.selectors if isinstance(selector, Several) else (selector,)
    return all(isinstance(one, RandomShare | RandomCount) for one in every)


def role_signals(predictor: Predictor, splits: Splits) -> RoleSignals:
    """What a network or a file answers in every role; nothing for a holdout or test set that was not given."""
    every = {role: getattr(splits, role) for role in ROLES}
    given = {role: part for role, part in every.items() if not isinstance(part, MissingExamples)}
    answers: dict[str, Any] = {
        role: compute_predictor_signals(predictor, part) for role, part in given.items()
    }
    return RoleSignals(**answers)


def with_exposure(models: Sequence[AuditedModel], splits: Splits) -> list[AuditedModel]:
    """The networks of an audit, those that unlearned with what they and the original reveal together."""
    original = next(model for model in models if model.kind == "original")
    return [
        dataclasses.replace(model, exposure=measure_exposure(original.answers, model.answers, splits))
        if model.kind == "unlearned"
        else model
        for model in models
    ]


def network_signals(
    model: nn.Module,
    splits: Splits,
    device: torch.device,
    *,
    computed: nn.Module | None = None,
    relearned: bool,
) -> RoleSignals:
    """What a network answers, with what only a network itself can show: the probe of its features, and relearning.

    Args:
        model: the network; left as it was.
        splits: the request's.
        device: where to compute.
        computed: what gives the answers, where that is not the network itself.
        relearned: whether relearning is measured, which takes some steps of training.
    """
    computing = computed or model
    answers = role_signals(TorchPredictor(computing.to(device), device), splits)
    computing.cpu()
    return dataclasses.replace(
        answers,
        probe=probe_signals(model, splits, device),
        relearned=relearn(model, splits, device) if relearned else None,
    )


def retrained_name(number: int) -> str:
    """How tables and errors call the retrained network of this number: `retrained`, `retrained 2` and so on."""
    return "retrained" if number == 1 else f"retrained {number}"


def _require_related(
    name: str, given: GivenFile, original: ExportedFile, original_network: str | None, answered: str
) -> None:
    if given.shipped.outline() != original.outline():
        raise AuditError(
            f"{name} has other layers than {original.name}; expected a file of the original's form"
        )
    record = given.record
    if record is None:
        return
    if record.file_digest != given.shipped.file_digest:
        raise AuditError(
            f"{name} has sha256 {given.shipped.file_digest[:12]}..., the record next to it describes "
            f"{record.file_digest[:12]}...; expected the file that the record was written for"
        )
    if record.provenance.original_digest not in (original.content_digest, original_network):
        base = record.provenance.original_digest
        raise AuditError(
            f"{name} was unlearned from a file of content {base and base[:12]}..., according to the record next to "
            f"it; expected {original.name} ({original.content_digest[:12]}...), with the record that `obliq export` "
            "wrote next to it"
        )
    if record.provenance.splits_digest != answered:
        raise AuditError(
            f"{name} was unlearned for another request, according to the record next to it; expected this request"
        )


def _artifact(file: ExportedFile) -> Artifact:
    return Artifact(
        file_digest=file.file_digest,
        content_digest=file.content_digest,
        runtime=file.predictor.runtime,
        form=file.form,
        precision=file.precision,
        network=None,
    )


def file_digests(kind: str, file: ExportedFile) -> dict[str, str]:
    """The digests of a file's bytes and of its content, each under a name with the file's kind."""
    return {f"file, {kind}": file.file_digest, f"content, {kind}": file.content_digest}
