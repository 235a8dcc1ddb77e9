"""From files alone to an audit: an original, files that unlearned, and a retrained one, on the same samples.

Nothing says how a file was trained, so the caller says which data and which division, as for unlearning. A record
beside a file, as `obliq unlearn` leaves it, must speak of this original and this request.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from obliq.auditing import Artifact, Audit, AuditedModel, audit_models, compute_predictor_signals
from obliq.auditing.measure import ROLES
from obliq.auditing.measurement import Kind
from obliq.auditing.signals import RoleSignals
from obliq.checkpoints.file_record import FileRecord
from obliq.data import MissingExamples, Partition, Splits, parse_selector
from obliq.data.request_file import Request
from obliq.data.selectors import RandomCount, RandomShare
from obliq.errors import AuditError, DataError
from obliq.exporting import Shipped
from obliq.exporting.exported_file import changed_share
from obliq.training.prediction import Predictor


@dataclass(frozen=True, kw_only=True)
class GivenFile:
    """A file to audit, and its record where there is one."""

    shipped: Shipped
    record: FileRecord | None = None


def compare_files(
    original: Shipped,
    unlearned: Mapping[str, GivenFile],
    retrained: Shipped | None,
    splits: Splits,
    request: Request,
) -> Audit:
    """Audit files alone.

    Args:
        original: the file before the request.
        unlearned: those that answer it, by name; of the original's form.
        retrained: of a network trained without the forget set; only its samples and classes must be the same.
        splits: the request's.
        request: the request.

    Raises:
        AuditError: when a file is of another form, or its record speaks of another original or request.
        DataError: when the samples do not fit a file.
    """
    for name, given in unlearned.items():
        _require_related(name, given, original, splits)
    for file in (
        original,
        *(given.shipped for given in unlearned.values()),
        *([retrained] if retrained else []),
    ):
        require_fitting(file, splits.partition)
    models = [_answering("original", original.predictor, splits)]
    for name, given in unlearned.items():
        share = changed_share(original.contents, given.shipped.contents)
        models.append(
            dataclasses.replace(
                _answering("unlearned", given.shipped.predictor, splits), name=name,
                seconds=None if given.record is None else given.record.provenance.seconds,
                changed_codes_percent=None if share is None else 100 * share, artifact=_artifact(given.shipped),
            )
        )  # fmt: skip
    if retrained is not None:
        models.append(_answering("retrained", retrained.predictor, splits))
    measured = audit_models(
        models,
        precision=original.precision,
        forgotten_classes=splits.forgotten_classes,
        digests={
            "partition": splits.partition.digest,
            "splits": splits.digest,
            **file_digests("original", original),
            **({} if retrained is None else file_digests("retrained", retrained)),
        },
        exchangeable=is_exchangeable(request),
    )
    ends = "original" if retrained is None else "original and retrained"
    settings = {**measured.settings, f"{ends}, as files": f"run by {original.predictor.runtime}"}
    return dataclasses.replace(measured, settings=settings)


def require_fitting(shipped: Shipped, parts: Partition) -> None:
    """Raise unless a file takes the samples of a data set and tells as many classes apart.

    Raises:
        DataError: saying which of the two does not fit.
    """
    wanted, given = shipped.contents.input_shape, parts.collection.sample_shape
    if given != wanted:
        raise DataError(
            f"{parts.collection.name} has samples of shape {given}; {shipped.name} expects {wanted}"
        )
    sample = parts.collection.fetch(parts.test.indices[:1])
    classes = shipped.predictor.predict(sample).shape[1]
    if classes != parts.collection.classes:
        raise DataError(
            f"{parts.collection.name} has {parts.collection.classes} classes; {shipped.name} tells {classes} apart"
        )


def is_exchangeable(request: Request) -> bool:
    """Whether chance alone decided which samples a request is about."""
    return isinstance(parse_selector(request.selector), RandomShare | RandomCount)


def role_signals(predictor: Predictor, splits: Splits) -> RoleSignals:
    """What a network or a file answers in every role; nothing for a holdout set that was not given."""
    given = {role: getattr(splits, role) for role in ROLES}
    if isinstance(splits.holdout, MissingExamples):
        del given["holdout"]
    return RoleSignals(**{role: compute_predictor_signals(predictor, part) for role, part in given.items()})


def _answering(kind: Kind, predictor: Predictor, splits: Splits) -> AuditedModel:
    return AuditedModel(kind=kind, answers=role_signals(predictor, splits))


def _require_related(name: str, given: GivenFile, original: Shipped, splits: Splits) -> None:
    if given.shipped.outline() != original.outline():
        raise AuditError(
            f"{name} has other layers than {original.name}; expected a file of the original's form"
        )
    record = given.record
    if record is None:
        return
    if record.file_digest != given.shipped.file_digest:
        raise AuditError(f"{name} is not the file that the record beside it describes; expected it to be")
    if record.provenance.base_digest != original.content_digest:
        raise AuditError(
            f"{name} was not made from {original.name}, says the record beside it; expected it to be"
        )
    if record.provenance.splits_digest != splits.digest:
        raise AuditError(f"{name} answers another request, says the record beside it; expected the same")


def _artifact(file: Shipped) -> Artifact:
    return Artifact(
        file_digest=file.file_digest, content_digest=file.content_digest, runtime=file.predictor.runtime,
        form=file.form, precision=file.precision, network=None,
    )  # fmt: skip


def file_digests(kind: str, file: Shipped) -> dict[str, str]:
    """The two digests of a file, under names that say whose they are."""
    return {f"file, {kind}": file.file_digest, f"content, {kind}": file.content_digest}
