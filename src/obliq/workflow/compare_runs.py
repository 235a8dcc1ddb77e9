"""Audit networks with a record, and files exported from them: check that they belong together, then measure."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import torch
from torch import nn

from obliq.auditing import Artifact, Audit, AuditedModel, audit_models
from obliq.auditing.measurement import Kind
from obliq.auditing.signals import RoleSignals
from obliq.checkpoints import Checkpoint, Provenance
from obliq.checkpoints.run_folder import SavedRun
from obliq.data import Splits
from obliq.data.request_file import Request
from obliq.errors import AuditError, ModelError
from obliq.exporting import ExportedFile, exact_if_deployed, graph_of
from obliq.quantization import changed_codes, weighted_layers, weights_digest
from obliq.workflow.compare_files import (
    file_digests,
    is_exchangeable,
    network_signals,
    retrained_name,
    role_signals,
    with_exposure,
)
from obliq.workflow.device_answers import DeviceRecording, add_device, recording_settings
from obliq.workflow.repeated_trainings import require_different_files, require_different_networks

DEVICE_SUMS = "computed in a device's sums"
"""The setting of an audit that names its networks in PyTorch which answered as their files do."""

REFERENCE = "training of the retrained network"
"""The setting of an audit that states how the reference was trained, where Obliq cannot know that it follows the
original's training."""


def compare_runs(
    original: Checkpoint,
    others: Mapping[str, SavedRun],
    splits: Splits,
    device: torch.device,
    shipped: Mapping[str, ExportedFile] | None = None,
    request: Request | None = None,
    retrained: Sequence[ExportedFile] = (),
    recording: DeviceRecording | None = None,
    answered: str | None = None,
) -> Audit:
    """Audit an original, unlearned networks and retrained ones, on the same samples.

    A network with the biases of its file, as `obliq export --to network` writes it, is computed with the sums and
    roundings of a device (`obliq.exporting.torch_interpreter`), so that it equals its file in every bit; the audit's
    `settings` then name it.

    Args:
        original: the network before the request.
        others: unlearned and retrained networks, by name. Gaps are measured from the first retrained one; all of
            these decide where retraining puts each statistic of the verdict.
        splits: the roles of the samples under the request.
        device: where to compute; files run on the processor.
        shipped: exported files by name, each of one of the unlearned networks; where there is no such
            network, files of the original's form.
        request: the request, where no network has it in its folder.
        retrained: files of the original's form, of networks trained without the forget set, where these networks
            themselves are not there; how they were trained is not recorded.
        recording: answers of a device that runs one of these; every network is then measured on its samples alone.
        answered: the digest of the request that the networks answer, where `splits` and `request` are those of one
            that they answered before it, or of a part of it.

    Raises:
        AuditError: when a network was not derived from this original or answers another request, or a file does
            not belong to any unlearned network.
    """
    kinds = require_comparable(original, others, splits, answered)
    given = {name: run.checkpoint.model for name, run in others.items() if kinds[name] == "retrained"}
    _require_different_trainings(original, given, retrained)
    networks = {"original": original, **{name: run.checkpoint for name, run in others.items()}}
    found = {
        name: exact_if_deployed(saved.model, saved.blueprint.input_shape) for name, saved in networks.items()
    }
    shipping = {name: network for name, network in found.items() if network is not None}
    unlearned = {name: run for name, run in others.items() if kinds[name] == "unlearned"}
    artifacts = {
        name: _artifact_of(file, name, original, unlearned) for name, file in (shipped or {}).items()
    }
    requests = [request] if request else []
    if answered is None:
        requests += [run.request for run in others.values() if run.request]
    relearned = "retrained" in kinds.values()  # there is nothing to compare with otherwise

    def network(kind: Kind, name: str, saved: Checkpoint) -> AuditedModel:
        answers = network_signals(
            saved.model, splits, device, computed=shipping.get(name), relearned=relearned
        )
        return _network(kind, name, saved, original, answers)

    models = [network("original", "original", original)]
    for name, run in others.items():
        models.append(network(kinds[name], name, run.checkpoint))
        models += [
            _file(title, file, artifacts[title], original, models[-1], splits)
            for title, file in (shipped or {}).items()
            if artifacts[title].network == name
        ]
    models += [
        _file(name, file, artifacts[name], original, None, splits)
        for name, file in (shipped or {}).items()
        if artifacts[name].network is None
    ]
    digests = {"partition": splits.partition.digest, "splits": splits.digest}
    folders = sum(kind == "retrained" for kind in kinds.values())
    for number, file in enumerate(retrained, folders + 1):
        if file.form_beside(original.model, original.blueprint.input_shape) is None:
            raise AuditError(f"{file.name} has other layers; expected a file of the original's form")
        title = retrained_name(number)
        models.append(
            AuditedModel(kind="retrained", name=title, answers=role_signals(file.predictor, splits))
        )
        digests |= file_digests(title, file)
    models = with_exposure(models, splits)
    measured = audit_models(
        models if recording is None else add_device(models, recording),
        precision=original.blueprint.bits,
        forgotten_classes=splits.forgotten_classes,
        digests=digests,
        exchangeable=bool(requests) and all(map(is_exchangeable, requests)),
    )
    noted = recording_settings(recording) | ({DEVICE_SUMS: ", ".join(shipping)} if shipping else {})
    trainings = (
        _other_training(original.provenance, run.checkpoint.provenance)
        for name, run in others.items()
        if kinds[name] == "retrained"
    )
    if different := ", ".join(dict.fromkeys(filter(None, trainings))):
        before = "elsewhere" if original.provenance.recipe is None else "by a recipe of Obliq"
        noted[REFERENCE] = f"{different}; the original: {before}"
    return replace(measured, settings={**measured.settings, **noted})


def _require_different_trainings(
    original: Checkpoint, networks: Mapping[str, nn.Module], files: Sequence[ExportedFile]
) -> None:
    """Refuse retrained networks or files that are one training twice.

    Raises:
        AuditError: naming two of them.
    """
    require_different_networks(original.model, networks)
    if len(files) < 2:
        return
    graph = graph_of(original.model, original.blueprint.input_shape)
    moved = {}
    for number, file in enumerate(files, len(networks) + 1):
        with suppress(ModelError):  # other layers, which is refused where the file is measured
            moved[retrained_name(number)] = (file, file.changed_codes(graph))
    require_different_files(moved)


def require_comparable(
    original: Checkpoint, others: Mapping[str, SavedRun], splits: Splits, answered: str | None = None
) -> dict[str, Kind]:
    """Check that networks come from one original and forgot the same samples, in one request or in several.

    Args:
        original: the network before all requests.
        others: the networks.
        splits: the roles of the samples under the audited request.
        answered: the digest of the request that the networks answer; that of `splits` when left out.

    Returns:
        The kind of each network, by name.

    Raises:
        AuditError: when a network was not derived from this original or answers another request.
    """
    base, kinds = weights_digest(original.model), dict[str, Kind]()
    forgotten = set(splits.partition.train.indices.tolist()) - set(splits.retain.indices.tolist())
    for name, run in others.items():
        provenance, request = run.checkpoint.provenance, run.request
        if provenance.original_digest != base:
            raise AuditError(
                f"{name} was not made from this original; expected base {base[:12]}... in its provenance"
            )
        if request is None:  # a network that ships has none; its record has the digest of the one it answers
            if provenance.splits_digest != (answered or splits.digest):
                raise AuditError(
                    f"{name} comes without a request, and its record names another one; expected the request that it "
                    "answers (--request FILE)"
                )
        elif request.all_ids != forgotten:
            raise AuditError(
                f"{name} answers another request; expected networks that forgot the same samples, in one request or "
                "in several (obliq retrain ORIGINAL --forget request=FILE leaves out those of earlier requests, too)"
            )
        else:
            request.splits(splits.partition)  # raises unless the digest is that of these ids
        kind: Kind = "retrained" if provenance.role == "retrained" else "unlearned"
        recipes = (provenance.recipe, original.provenance.recipe)
        if kind == "retrained" and None not in recipes and recipes[0] != recipes[1]:
            raise AuditError(
                f"{name} was trained by another recipe than the original; expected the same, as `obliq retrain` "
                "uses it, since every gap is measured from this network"
            )
        kinds[name] = kind
    return kinds


def _other_training(original: Provenance, retrained: Provenance) -> str:
    """How a retrained network was trained, where that is not as the original was, or is not known; else empty."""
    if retrained.recipe == original.recipe and retrained.recipe is not None:
        return ""
    if retrained.recipe is None:
        source = retrained.loaded.source if retrained.loaded else "not recorded"
        return f"by its user ({source})"
    settings = ", ".join(f"{name}={value}" for name, value in retrained.recipe.items())
    return f"by a recipe of Obliq ({settings})"


def _artifact_of(
    file: ExportedFile, name: str, original: Checkpoint, unlearned: Mapping[str, SavedRun]
) -> Artifact:
    """Find the network that a file was exported from by comparing contents, before the file is run.

    Raises:
        AuditError: when it was exported from none of the unlearned networks, or, where there is none, when it is not
            of the original's form.
    """
    shape = original.blueprint.input_shape
    network = None
    form = file.form_beside(original.model, shape) if not unlearned else None
    for candidate, run in unlearned.items():
        form = file.exported_from(run.checkpoint.model, shape)
        if form is not None:
            network = candidate
            break
    if form is None:
        expected = (
            f"a file that `obliq export` makes of {' or '.join(unlearned)}"
            if unlearned
            else "a file of the original's form"
        )
        raise AuditError(
            f"{name} (content {file.content_digest[:12]}...) was not exported from any of the given networks; "
            f"expected {expected}"
        )
    stored = file.stored_weights
    precision = "FP32" if stored == "float32" else f"{original.blueprint.bits}, weights in {stored}"
    return Artifact(
        file_digest=file.file_digest,
        content_digest=file.content_digest,
        runtime=file.predictor.runtime,
        form=form,
        precision=precision,
        network=network,
    )


def _network(
    kind: Kind, name: str, saved: Checkpoint, original: Checkpoint, answers: RoleSignals
) -> AuditedModel:
    """An entry for a network: with the arithmetic of a device, bit for bit, where its biases are those of its file."""
    moved = None
    if weighted_layers(original.model) and kind == "unlearned":
        moved = 100 * changed_codes(original.model, saved.model)
    return AuditedModel(
        kind=kind,
        name=name,
        weights_digest=weights_digest(saved.model),
        seconds=saved.provenance.training_seconds,
        answers=answers,
        changed_codes_percent=moved,
    )


def _file(
    name: str,
    file: ExportedFile,
    artifact: Artifact,
    original: Checkpoint,
    network: AuditedModel | None,
    splits: Splits,
) -> AuditedModel:
    """Measure a file; time and changed codes are those of its network, where that is known."""
    if network is not None:
        moved, seconds = network.changed_codes_percent, network.seconds
    else:
        share = file.changed_codes(graph_of(original.model, original.blueprint.input_shape))
        moved, seconds = None if share is None else 100 * share, None
    return AuditedModel(
        kind="unlearned",
        name=name,
        answers=role_signals(file.predictor, splits),
        seconds=seconds,
        changed_codes_percent=moved,
        artifact=artifact,
    )
