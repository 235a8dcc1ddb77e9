"""The audit: every network is measured on the same samples, and compared with the retrained one."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from obliq.auditing.intervals import Estimate
from obliq.auditing.measurement import (
    Artifact,
    Audit,
    Counts,
    Kind,
    Measurement,
    confidence_histograms,
    entropy_histograms,
)
from obliq.auditing.metric import Evidence
from obliq.auditing.metrics import DIGITS, compare_with_retrained, measure_alone, metrics_in
from obliq.auditing.reference_attacks import OFFLINE, ReferenceSignals
from obliq.auditing.signals import RoleSignals, Signals
from obliq.auditing.verdict import MARGIN, Verdict, judge
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
        forgotten_classes: see `measure_utility`.
        digests: of the partition and the splits.
        margin: points of AUC that count as no difference; see `judge`.
        exchangeable: whether the forget set is a random share of the data; see `judge`.
        references: answers of reference networks about the same samples; without them there is no RMIA.

    Raises:
        AuditError: without exactly one original, with two retrained ones or two of one name, or when the
            networks did not answer the same samples.
    """
    ordered = _in_order(models)
    evidence = [_evidence(model, frozenset(forgotten_classes), references) for model in ordered]
    alone = [measure_alone(network) for network in evidence]
    has_retrained = ordered[-1].kind == "retrained"
    aim, ideal = (alone[-1], evidence[-1].separation) if has_retrained else (None, None)

    def verdict(network: Evidence) -> Verdict:
        before = evidence[0].separation
        return judge(network.separation, before, ideal, margin, exchangeable=exchangeable).rounded(DIGITS)

    entries = [
        Measurement(
            name=model.title,
            kind=model.kind,
            artifact=model.artifact,
            weights_digest=model.weights_digest,
            values=_values(found, aim),
            intervals={name: one.interval for name, one in found.items() if one.interval is not None},
            verdict=verdict(network) if model.kind == "unlearned" else None,
            confidence=confidence_histograms(model.answers),
            entropy=entropy_histograms(model.answers),
        )
        for model, network, found in zip(ordered, evidence, alone, strict=True)
    ]
    return Audit(
        entries=tuple(dataclasses.replace(entry, artifact=_compared(entry, entries)) for entry in entries),
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
            mine, first = (_labels(one.answers, role) for one in (model, ordered[0]))
            if not torch.equal(mine, first):
                raise AuditError(
                    f"{model.title!r} and the original answered different {role} samples; expected the same"
                )
    return ordered


def _labels(answers: RoleSignals, role: str) -> Tensor:
    """The true classes in a role; none for a holdout set that is not there."""
    found: Signals | None = getattr(answers, role)
    return torch.empty(0, dtype=torch.int64) if found is None else found.labels


def _evidence(
    model: AuditedModel, forgotten_classes: frozenset[int], references: ReferenceSignals | None
) -> Evidence:
    return Evidence(
        answers=model.answers,
        forgotten_classes=forgotten_classes,
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


def _compared(one: Measurement, everything: Sequence[Measurement]) -> Artifact | None:
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
        if (value := one.values.get(name)) is not None and not interval.low <= value <= interval.high
    )
    return dataclasses.replace(one.artifact, moved=moved)


def _counts(answers: RoleSignals, forgotten_classes: Collection[int]) -> Counts:
    scored = ~np.isin(answers.test.labels.numpy(), sorted(forgotten_classes))
    _, sizes = np.unique(answers.test.labels.numpy()[scored], return_counts=True)
    return Counts(
        **{role: len(_labels(answers, role)) for role in ROLES},
        test_scored=int(scored.sum()),
        test_most_frequent=int(sizes.max(initial=0)),
        unseen=len(answers.unseen),
        attack_members=min(len(answers.test), len(answers.retain)),
        attack_non_members=min(len(answers.test), len(answers.retain)),
    )
