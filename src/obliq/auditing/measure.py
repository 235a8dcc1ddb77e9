"""The audit: one measurement a network, each computed from its signals alone."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from obliq.auditing.accuracy import utility
from obliq.auditing.intervals import Interval
from obliq.auditing.measurement import (
    Artifact,
    Audit,
    Counts,
    Kind,
    Measurement,
    confidence_histograms,
    entropy_histograms,
)
from obliq.auditing.membership import Separation, separation, svc_confidence
from obliq.auditing.reference_attacks import OFFLINE, ReferenceSignals, relative_separation
from obliq.auditing.signals import RoleSignals
from obliq.auditing.verdict import MARGIN, Verdict, judge
from obliq.errors import AuditError

ACCURACIES = ("forget_accuracy", "retain_accuracy", "test_accuracy")


def tug_of_war(measured: Measurement, reference: Measurement) -> float:
    """(1 - |dFA|) (1 - |dRA|) (1 - |dTA|), differences to the retrained network as shares. Target 1, worst 0.

    Source: Zhao et al., "What makes unlearning hard and what to do about it" (RUM), NeurIPS 2024.
    """
    product = 1.0
    for name in ACCURACIES:
        product *= 1 - abs(getattr(measured, name) - getattr(reference, name)) / 100
    return product


GAP_FIELDS = ("unlearning_accuracy", "retain_accuracy", "test_accuracy", "mia_svc_confidence")
ROLES = ("forget", "retain", "holdout", "test")
DIGITS = 4  # decimals of percentages and points: far below what any sample count resolves


@dataclass(frozen=True, kw_only=True, eq=False)
class AuditedModel:
    """One network to audit.

    Attributes:
        kind: original, unlearned or retrained.
        name: how people call it; the kind when left out.
        answers: its signals in every role.
        weights_digest: SHA-256 over its integer content.
        seconds: wall time that making it took.
        changed_codes_percent: integer weight codes that differ from the original's.
        artifact: the file whose answers these are, where they are those of a file.
    """

    kind: Kind
    answers: RoleSignals
    name: str = ""
    weights_digest: str | None = None
    seconds: float | None = None
    changed_codes_percent: float | None = None
    artifact: Artifact | None = None

    @property
    def title(self) -> str:
        """The name, or the kind where there is none."""
        return self.name or self.kind


def audit_models(
    models: Sequence[AuditedModel],
    *,
    precision: str,
    forgotten_classes: Collection[int] = (),
    digests: Mapping[str, str] | None = None,
    margin: float = MARGIN,
    exchangeable: bool = True,
    references: ReferenceSignals | None = None,
) -> Audit:
    """Measure every network on the same samples and compare them.

    Args:
        models: one original, any number of unlearned ones, at most one retrained; in any order.
        precision: bits of weights and activations, for instance W4A4.
        forgotten_classes: see `utility`.
        digests: of the partition and the splits.
        margin: points of AUC that count as no difference; see `judge`.
        exchangeable: whether the forget set is a random share of the data; see `judge`.
        references: answers of reference networks about the same samples; without them there is no RMIA.

    Raises:
        AuditError: without exactly one original, with two retrained ones or two of one name, or when the
            networks did not answer the same samples.
    """
    ordered = _in_order(models)
    apart = [separation(model.answers) for model in ordered]
    measured = [_measured(*pair, forgotten_classes, references) for pair in zip(ordered, apart, strict=True)]
    has_reference = ordered[-1].kind == "retrained"
    reference, ideal = (measured[-1], apart[-1]) if has_reference else (None, None)
    entries = tuple(
        dataclasses.replace(
            one,
            verdict=_rounded(judge(own, apart[0], ideal, margin, exchangeable=exchangeable))
            if one.kind == "unlearned"
            else None,
            artifact=_beside(one, measured),
            average_gap=_gap(one, reference),
            tow=None if reference is None else _short(tug_of_war(one, reference)),
            time_ratio=_ratio(one, reference),
        )
        for one, own in zip(measured, apart, strict=True)
    )
    return Audit(
        entries=entries,
        counts=_counts(ordered[0].answers, forgotten_classes),
        classes=ordered[0].answers.test.classes,
        precision=precision,
        digests=dict(digests or {}),
        settings={
            "margin": f"{margin:g} points of AUC, and at most half of the original's difference",
            "intervals": "95 %; accuracies and shares: Wilson; AUC: DeLong",
            "attack": "SVC(C=3, gamma=auto, rbf) on true-class confidence, equal numbers of members and "
            "non-members; AUC of true-class confidence",
            "forgotten classes left out of test accuracy": str(len(forgotten_classes)),
            **_described(references),
        },
    )


def _described(references: ReferenceSignals | None) -> dict[str, str]:
    if references is None:
        return {}
    return {
        "reference networks": f"{references.forget.networks}, of which {references.forget.outsiders} did not see "
        f"the sample; RMIA in its offline form, a = {OFFLINE:g}"
    }


def _in_order(models: Sequence[AuditedModel]) -> list[AuditedModel]:
    kinds = [model.kind for model in models]
    if kinds.count("original") != 1 or kinds.count("retrained") > 1:
        raise AuditError(
            f"{kinds.count('original')} original and {kinds.count('retrained')} retrained networks; "
            "expected exactly one original and at most one retrained"
        )
    titles = [model.title for model in models]
    twice = sorted({title for title in titles if titles.count(title) > 1})
    if twice:
        raise AuditError(f"two networks are called {twice[0]!r}; expected one name each")
    order = ("original", "unlearned", "retrained")
    ordered = sorted(models, key=lambda model: order.index(model.kind))
    for model in ordered[1:]:
        for role in ROLES:
            mine, first = getattr(model.answers, role), getattr(ordered[0].answers, role)
            if not torch.equal(mine.labels, first.labels):
                raise AuditError(
                    f"{model.title!r} and the original answered different {role} samples; expected the same"
                )
    return ordered


def _measured(
    model: AuditedModel,
    apart: Separation,
    forgotten_classes: Collection[int],
    references: ReferenceSignals | None,
) -> Measurement:
    """Everything that one network tells without the retrained one."""
    answers = model.answers
    useful = utility(answers, forgotten_classes)
    attacked = svc_confidence(answers)
    relative = None if references is None else relative_separation(answers, references)
    intervals = {
        "unlearning_accuracy": useful.unlearning.interval,
        "forget_accuracy": useful.forget.interval,
        "retain_accuracy": useful.retain.interval,
        "test_accuracy": useful.test.interval,
        "mia_svc_confidence": attacked.interval,
        "auc_forget_vs_test": apart.interval,
    }
    recognised = _recognised(apart, "recognised_at_one_percent", intervals)
    relatively_recognised = None
    if relative is not None:
        intervals["rmia_auc"] = relative.interval
        relatively_recognised = _recognised(relative, "rmia_at_one_percent", intervals)
    return Measurement(
        name=model.title,
        kind=model.kind,
        artifact=model.artifact,
        weights_digest=model.weights_digest,
        unlearning_accuracy=_short(useful.unlearning.percent),
        forget_accuracy=_short(useful.forget.percent),
        retain_accuracy=_short(useful.retain.percent),
        test_accuracy=_short(useful.test.percent),
        mia_svc_confidence=_short(attacked.percent),
        auc_forget_vs_test=_short(apart.auc),
        recognised_at_one_percent=recognised,
        rmia_auc=None if relative is None else _short(relative.auc),
        rmia_at_one_percent=relatively_recognised,
        entropy_forget=_short(float(answers.forget.entropy.mean())),
        entropy_retain=_short(float(answers.retain.entropy.mean())),
        entropy_holdout=_short(float(answers.holdout.entropy.mean())),
        entropy_test=_short(float(answers.test.entropy.mean())),
        average_gap=None,
        tow=None,
        seconds=None if model.seconds is None else _short(model.seconds),
        time_ratio=None,
        changed_codes_percent=None
        if model.changed_codes_percent is None
        else _short(model.changed_codes_percent),
        intervals={name: _rounded_interval(interval) for name, interval in intervals.items()},
        verdict=None,
        confidence=confidence_histograms(answers),
        entropy=entropy_histograms(answers),
    )


def _recognised(apart: Separation, name: str, intervals: dict[str, Interval]) -> float | None:
    """The share recognised at 1 % false alarms, whose interval joins the others; None for too few samples."""
    share = apart.recognised_at_one_percent
    if share is None:
        return None
    intervals[name] = share.interval
    return _short(share.percent)


def _beside(one: Measurement, everything: Sequence[Measurement]) -> Artifact | None:
    """The entry's artifact, with the fields in which it left the interval of its network."""
    if one.artifact is None or one.artifact.network is None:
        return one.artifact
    network = next((entry for entry in everything if entry.name == one.artifact.network), None)
    if network is None:
        raise AuditError(
            f"{one.name!r} was exported from {one.artifact.network!r}, which is not audited; expected it to be"
        )
    moved = tuple(
        name
        for name, interval in network.intervals.items()
        if name in one.intervals and not interval.low <= getattr(one, name) <= interval.high
    )
    return dataclasses.replace(one.artifact, moved=moved)


def _gap(measured: Measurement, reference: Measurement | None) -> float | None:
    """Mean absolute difference to the retrained network over the field's four numbers."""
    if reference is None:
        return None
    return _short(
        float(np.mean([abs(getattr(measured, name) - getattr(reference, name)) for name in GAP_FIELDS]))
    )


def _ratio(measured: Measurement, reference: Measurement | None) -> float | None:
    if reference is None or measured.seconds is None or not reference.seconds:
        return None
    return _short(measured.seconds / reference.seconds)


def _counts(answers: RoleSignals, forgotten_classes: Collection[int]) -> Counts:
    scored = ~np.isin(answers.test.labels.numpy(), sorted(forgotten_classes))
    return Counts(
        **{role: len(getattr(answers, role)) for role in ROLES},
        test_scored=int(scored.sum()),
        unseen=len(answers.unseen),
        attack_members=min(len(answers.test), len(answers.retain)),
        attack_non_members=min(len(answers.test), len(answers.retain)),
    )


def _short(value: float) -> float:
    return round(float(value), DIGITS)


def _rounded_interval(interval: Interval) -> Interval:
    return Interval(_short(interval.low), _short(interval.high))


def _rounded(verdict: Verdict) -> Verdict:
    return dataclasses.replace(
        verdict,
        reference=_short(verdict.reference),
        difference=_short(verdict.difference),
        interval=_rounded_interval(verdict.interval),
        margin=_short(verdict.margin),
    )
