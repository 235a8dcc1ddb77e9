"""From networks and shipped files to an audit: who belongs to whom, and what each answers."""

from collections.abc import Mapping
from dataclasses import replace

import torch

from obliq.auditing import Artifact, Audit, AuditedModel, ReferenceSignals, audit_models
from obliq.auditing.measurement import Kind
from obliq.checkpoints import Checkpoint
from obliq.checkpoints.run_folder import SavedRun
from obliq.data import Splits
from obliq.data.request_file import Request
from obliq.errors import AuditError
from obliq.exporting import Exact, Shipped, exact_if_deployed, graph_of
from obliq.quantization import changed_codes, weighted_layers, weights_digest
from obliq.training.prediction import TorchPredictor
from obliq.workflow.compare_files import file_digests, is_exchangeable, role_signals

DEVICE_SUMS = "computed in a device's sums"
"""The setting of an audit that names its networks in PyTorch which answered as their files do."""


def compare_runs(
    original: Checkpoint,
    others: Mapping[str, SavedRun],
    splits: Splits,
    device: torch.device,
    references: ReferenceSignals | None = None,
    shipped: Mapping[str, Shipped] | None = None,
    request: Request | None = None,
    retrained: Shipped | None = None,
) -> Audit:
    """Audit an original, networks that unlearned by name, and a retrained one, on the same samples.

    A network with the biases of its file, as `obliq export --to network` writes it, answers in the sums and
    roundings of a device (`obliq.exporting.torch_interpreter`), as its file does to the last bit; `settings` names
    it then.

    Args:
        original: the network before the request.
        others: those that answer it, by name.
        splits: the request's.
        device: where to compute; files run on the processor.
        references: what reference networks say, see `obliq.auditing.reference_models`; without them there is no RMIA.
        shipped: exported files by name, each of one of the networks that unlearned; where there is no such
            network, files of the original's form.
        request: the request, where no network brings it along.
        retrained: a file of the original's form, of a network trained without the forget set, where that
            network itself is not there; nothing tells how it was trained.

    Raises:
        AuditError: when a network does not come from this original or answers another request, or a file does
            not belong to any network that unlearned.
    """
    kinds = require_comparable(original, others, splits)
    networks = {"original": original, **{name: made.checkpoint for name, made in others.items()}}
    found = {
        name: exact_if_deployed(saved.model, saved.blueprint.input_shape) for name, saved in networks.items()
    }
    shipping = {name: network for name, network in found.items() if network is not None}
    unlearned = {name: made for name, made in others.items() if kinds[name] == "unlearned"}
    belonging = {name: _belonging(file, name, original, unlearned) for name, file in (shipped or {}).items()}
    requests = [made.request for made in others.values() if made.request] + ([request] if request else [])
    models = [_network("original", "original", original, original, shipping, splits, device)]
    for name, made in others.items():
        models.append(_network(kinds[name], name, made.checkpoint, original, shipping, splits, device))
        models += [
            _file(title, file, belonging[title], original, models[-1], splits)
            for title, file in (shipped or {}).items()
            if belonging[title].network == name
        ]
    models += [
        _file(name, file, belonging[name], original, None, splits)
        for name, file in (shipped or {}).items()
        if belonging[name].network is None
    ]
    digests = {"partition": splits.partition.digest, "splits": splits.digest}
    if retrained is not None:
        if retrained.form_beside(original.model, original.blueprint.input_shape) is None:
            raise AuditError(f"{retrained.name} has other layers; expected a file of the original's form")
        models.append(AuditedModel(kind="retrained", answers=role_signals(retrained.predictor, splits)))
        digests |= file_digests("retrained", retrained)
    measured = audit_models(
        models,
        precision=str(original.blueprint.precision),
        forgotten_classes=splits.forgotten_classes,
        digests=digests,
        exchangeable=all(map(is_exchangeable, requests)),
        references=references,
    )
    told = {DEVICE_SUMS: ", ".join(shipping)} if shipping else {}
    return replace(measured, settings={**measured.settings, **told})


def require_comparable(
    original: Checkpoint, others: Mapping[str, SavedRun], splits: Splits
) -> dict[str, Kind]:
    """Check that networks belong together; the kind of each by name.

    Raises:
        AuditError: when a network does not come from this original or answers another request.
    """
    base, kinds = weights_digest(original.model), dict[str, Kind]()
    for name, made in others.items():
        provenance = made.checkpoint.provenance
        if provenance.base_digest != base:
            raise AuditError(
                f"{name} was not made from this original; expected base {base[:12]}... in its provenance"
            )
        if made.request is None:
            raise AuditError(f"{name} comes without a request; expected the request that all of them answer")
        if made.request.ids != tuple(splits.forget.indices.tolist()):
            raise AuditError(
                f"{name} answers another request; expected networks that forgot the same samples"
            )
        made.request.splits(splits.partition)  # the digest, too, is that of these ids
        kind: Kind = "retrained" if provenance.role == "retrained" else "unlearned"
        if kind == "retrained" and provenance.recipe != original.provenance.recipe:
            raise AuditError(
                f"{name} was trained by another recipe than the original; expected the same, as `obliq retrain` "
                "uses it, since every gap is measured from this network"
            )
        kinds[name] = kind
    return kinds


def _belonging(file: Shipped, name: str, original: Checkpoint, unlearned: Mapping[str, SavedRun]) -> Artifact:
    """What is known of a file before it is run.

    Raises:
        AuditError: when it is no export of any network that unlearned, or, where there is none, not of the
            original's form.
    """
    shape = original.blueprint.input_shape
    network = None
    form = file.form_beside(original.model, shape) if not unlearned else None
    for candidate, made in unlearned.items():
        form = file.exported_from(made.checkpoint.model, shape)
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
            f"{name} (content {file.content_digest[:12]}...) does not belong to the networks beside it; "
            f"expected {expected}"
        )
    stored = file.stored_weights
    precision = "FP32" if stored == "float32" else f"{original.blueprint.precision}, weights in {stored}"
    return Artifact(
        file_digest=file.file_digest, content_digest=file.content_digest, runtime=file.predictor.runtime,
        form=form, precision=precision, network=network,
    )  # fmt: skip


def _network(
    kind: Kind,
    name: str,
    saved: Checkpoint,
    original: Checkpoint,
    shipping: Mapping[str, Exact],
    splits: Splits,
    device: torch.device,
) -> AuditedModel:
    """A network's answers: those of a device, bit for bit, where its biases are those of its file."""
    moved = None
    if weighted_layers(original.model) and kind == "unlearned":
        moved = 100 * changed_codes(original.model, saved.model)
    asked = shipping.get(name, saved.model)
    answers = role_signals(TorchPredictor(asked.to(device), device), splits)
    asked.cpu()
    return AuditedModel(
        kind=kind, name=name, weights_digest=weights_digest(saved.model), seconds=saved.provenance.seconds,
        answers=answers, changed_codes_percent=moved,
    )  # fmt: skip


def _file(
    name: str,
    file: Shipped,
    artifact: Artifact,
    original: Checkpoint,
    network: AuditedModel | None,
    splits: Splits,
) -> AuditedModel:
    """The file's answers; its cost and its changed codes are those of its network, where that is known."""
    if network is not None:
        moved, seconds = network.changed_codes_percent, network.seconds
    else:
        share = file.changed_codes(graph_of(original.model, original.blueprint.input_shape))
        moved, seconds = None if share is None else 100 * share, None
    return AuditedModel(
        kind="unlearned", name=name, answers=role_signals(file.predictor, splits), seconds=seconds,
        changed_codes_percent=moved, artifact=artifact,
    )  # fmt: skip
