"""The audit: every network is measured on the same samples, and compared with the retrained one."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from obliq.auditing.device_answers import DeviceAnswers
from obliq.auditing.exposure import Exposure
from obliq.auditing.histograms import confidence_histograms, entropy_histograms
from obliq.auditing.intervals import Estimate
from obliq.auditing.measured_values import DIGITS, compare_with_retrained, measure_alone, metrics_in
from obliq.auditing.measurement import (
    Artifact,
    Audit,
    Counts,
    Kind,
    Measurement,
)
from obliq.auditing.metric import Evidence
from obliq.auditing.people import FEWEST_PEOPLE
from obliq.auditing.reference_attacks import OFFLINE, ReferenceSignals, retrained_references
from obliq.auditing.relearning import LEAST_OTHERS, RELEARNED, RETAINED, STEPS
from obliq.auditing.signals import RoleSignals, Signals
from obliq.auditing.verdict import Verdict
from obliq.auditing.verdict_rules import judge
from obliq.errors import AuditError

ROLES = ("forget", "retain", "holdout", "test")
MEASUREMENT_VERSION = 1
"""Raised when the same network and samples give other signals or numbers."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AuditedModel:
    """One network to audit.

    Attributes:
        kind: original, unlearned or retrained.
        name: as tables and pages show it; the kind when left out.
        answers: its signals in every role.
        weights_digest: SHA-256 over its integer content.
        seconds: wall time that producing it took.
        changed_codes_percent: integer weight codes that differ from the original's.
        artifact: the file that gave the answers, if a file did.
        device: the recording, if the answers were recorded on a device.
        exposure: what the network and the original reveal together, where this was measured.
    """

    kind: Kind
    answers: RoleSignals
    name: str = ""
    weights_digest: str | None = None
    seconds: float | None = None
    changed_codes_percent: float | None = None
    artifact: Artifact | None = None
    device: DeviceAnswers | None = None
    exposure: Exposure | None = None

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
    exchangeable: bool = True,
    references: ReferenceSignals | None = None,
) -> Audit:
    """Measure every network on the same samples and compare them.

    Args:
        models: one original, any number of unlearned ones and of retrained ones; in any order. The first retrained
            network is the one that gaps are measured from. All of them decide where retraining puts each statistic of
            the verdict.
        precision: bits of weights and activations, for instance W4A4.
        forgotten_classes: see `measure_utility`.
        digests: of the partition and the splits.
        exchangeable: whether the forget set is a random share of the data; see `judge`.
        references: answers of other reference networks to the same samples, for RMIA. When left out, the retrained
            networks are these where there are two or more, and otherwise there is no RMIA.

    Raises:
        AuditError: without exactly one original, with two of one name, when the networks did not answer the same
            samples, or when two retrained networks are the same.
    """
    ordered = _in_order(models)
    retrained = [model for model in ordered if model.kind == "retrained"]
    shown = [model for model in ordered if model.kind != "retrained"] + retrained[:1]
    classes = frozenset(forgotten_classes)
    evidence = [
        _evidence(model, shown[0], classes, references or _retrained_signals(model, retrained))
        for model in shown
    ]
    alone = [measure_alone(network) for network in evidence]
    aim = alone[-1] if retrained else None

    def verdict(model: AuditedModel) -> Verdict:
        others = [one.answers for one in retrained]
        return judge(
            model.answers, shown[0].answers, others, forgotten_classes=classes, exchangeable=exchangeable
        ).rounded(DIGITS)

    entries = [
        Measurement(
            name=model.title,
            kind=model.kind,
            artifact=model.artifact,
            weights_digest=model.weights_digest,
            values=_values(found, aim),
            intervals={name: one.interval for name, one in found.items() if one.interval is not None},
            verdict=verdict(model) if model.kind == "unlearned" else None,
            confidence=confidence_histograms(model.answers),
            entropy=entropy_histograms(model.answers),
            device=model.device,
            exposure=model.exposure,
        )
        for model, found in zip(shown, alone, strict=True)
    ]
    return Audit(
        entries=tuple(_compared(entry, entries) for entry in entries),
        counts=_counts(ordered[0].answers, forgotten_classes, len(retrained)),
        classes=ordered[0].answers.forget.classes,
        precision=precision,
        aim="retrained" if retrained else "chance" if exchangeable else "unknown",
        digests=dict(digests or {}),
        settings={
            "verdict": _rule(len(retrained)),
            "intervals": "95 %; accuracies and shares: Wilson; AUC: Newcombe; shares at 1 %: with the threshold's own; "
            f"by person where a set has {FEWEST_PEOPLE} or more",
            "attack": "SVC(C=3, gamma=auto, rbf) on true-class confidence, equal numbers of members and "
            "non-members; AUC of true-class confidence",
            "forgotten classes left out of test accuracy": str(len(forgotten_classes)),
            **_described(references, len(retrained)),
            "relearning": _relearning(ordered),
        },
    )


def _rule(references: int) -> str:
    if references < 2:
        networks = "1 retrained network" if references == 1 else f"{references} retrained networks"
        return f"{networks}: see docs/audit-format.md for what this can decide"
    return (
        f"prediction intervals of {references} retrained networks (Student's t), with an error of 5 % over all "
        "statistics together"
    )


def _described(references: ReferenceSignals | None, retrained: int) -> dict[str, str]:
    if references is not None:
        networks = (
            f"{references.forget.networks}, of which {references.forget.outsiders} did not see the sample"
        )
    elif retrained > 1:
        networks = f"the {retrained} retrained ones"
    else:
        return {}
    return {"reference networks": f"{networks}; RMIA in its offline form, a = {OFFLINE:g}; IAM"}


def _relearning(models: Sequence[AuditedModel]) -> str:
    if all(model.kind != "retrained" for model in models):
        return "not measured: there is no retrained network to compare with"
    missing = [model.title for model in models if model.answers.relearned is None]
    if missing:
        return (
            f"not measured for {', '.join(missing)}: this needs a network that can be trained without diverging, "
            f"{RELEARNED + LEAST_OTHERS} forgotten and {LEAST_OTHERS} unseen samples"
        )
    return (
        f"{STEPS} steps on {RETAINED} retained and {RELEARNED} forgotten samples each; measured on "
        f"{len(models[0].answers.forget) - RELEARNED} other forgotten samples"
    )


def _retrained_signals(model: AuditedModel, retrained: Sequence[AuditedModel]) -> ReferenceSignals | None:
    """The retrained networks as reference networks, without the network itself; None for fewer than two."""
    others = [one.answers for one in retrained if one is not model]
    if len(retrained) < 2 or model.answers.test is None:
        return None
    return retrained_references(others)


def _in_order(models: Sequence[AuditedModel]) -> list[AuditedModel]:
    kinds = [model.kind for model in models]
    if kinds.count("original") != 1:
        raise AuditError(f"{kinds.count('original')} original networks; expected exactly one")
    titles = [model.title for model in models]
    twice = sorted({title for title in titles if titles.count(title) > 1})
    if twice:
        raise AuditError(f"two networks are called {twice[0]!r}; expected one name each")
    order = ("original", "unlearned", "retrained")
    ordered = sorted(models, key=lambda model: order.index(model.kind))
    for model in ordered[1:]:
        for role in ROLES:
            mine, first = (_labels(one.answers, role) for one in (model, ordered[0]))
            if not torch.equal(mine, first):
                raise AuditError(
                    f"{model.title!r} and the original answered different {role} samples; expected the same"
                )
    _refuse_equal([model for model in ordered if model.kind == "retrained"])
    return ordered


def _refuse_equal(retrained: Sequence[AuditedModel]) -> None:
    """Raise where two retrained networks are one: its copy does not show how much retraining varies."""
    for place, one in enumerate(retrained):
        for other in retrained[:place]:
            if torch.equal(one.answers.forget.logits, other.answers.forget.logits) and torch.equal(
                one.answers.retain.logits, other.answers.retain.logits
            ):
                raise AuditError(
                    f"{other.title!r} and {one.title!r} give the same answers; expected networks that were retrained "
                    "with different seeds"
                )


def _labels(answers: RoleSignals, role: str) -> Tensor:
    """The true classes in a role; none for a holdout set that is not there."""
    found: Signals | None = getattr(answers, role)
    return torch.empty(0, dtype=torch.int64) if found is None else found.labels


def _evidence(
    model: AuditedModel,
    original: AuditedModel,
    forgotten_classes: frozenset[int],
    references: ReferenceSignals | None,
) -> Evidence:
    return Evidence(
        answers=model.answers,
        forgotten_classes=forgotten_classes,
        original=original.answers,
        references=references,
        seconds=model.seconds,
        changed_codes_percent=model.changed_codes_percent,
    )


def _values(
    alone: Mapping[str, Estimate], retrained: Mapping[str, Estimate] | None
) -> dict[str, float | None]:
    """A network's numbers in the order of the table; None where there is none."""
    mine = {name: estimate.value for name, estimate in alone.items()}
    if retrained is not None:
        mine |= compare_with_retrained(mine, {name: estimate.value for name, estimate in retrained.items()})
    return {metric.name: mine.get(metric.name) for metric in metrics_in("audit")}


def _compared(one: Measurement, everything: Sequence[Measurement]) -> Measurement:
    """The entry; of a file or a recording, with the fields in which it left the interval of its network."""
    source = one.artifact or one.device
    if source is None or source.network is None:
        return one
    network = next((entry for entry in everything if entry.name == source.network), None)
    if network is None:
        raise AuditError(
            f"{one.name!r} belongs to {source.network!r}, which is not audited; expected it to be"
        )
    moved = tuple(
        name
        for name, interval in network.intervals.items()
        if (value := one.values.get(name)) is not None and not interval.low <= value <= interval.high
    )
    if one.device is not None:
        return dataclasses.replace(one, device=dataclasses.replace(one.device, moved=moved))
    assert one.artifact is not None
    return dataclasses.replace(one, artifact=dataclasses.replace(one.artifact, moved=moved))


def _counts(answers: RoleSignals, forgotten_classes: Collection[int], retrained: int) -> Counts:
    labels = _labels(answers, "test").numpy()
    scored = ~np.isin(labels, sorted(forgotten_classes))
    _, sizes = np.unique(labels[scored], return_counts=True)
    return Counts(
        **{role: len(_labels(answers, role)) for role in ROLES},
        test_scored=int(scored.sum()),
        test_most_frequent=int(sizes.max(initial=0)),
        unseen=0 if answers.test is None else len(answers.unseen),
        attack_members=min(len(labels), len(answers.retain)),
        attack_non_members=min(len(labels), len(answers.retain)),
        retrained=retrained,
    )
