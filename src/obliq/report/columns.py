"""The columns of the report's tables: what is shown of each network, and what to wish for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from obliq.audit import Audit


@dataclass(frozen=True)
class Column:
    """A column of numbers.

    Attributes:
        field: of `Measurement`.
        short: the field's abbreviation.
        name: the same in words.
        target: what to wish for.
        samples: how many samples the numbers rest on.
        digits: decimals to show.
    """

    field: str
    short: str
    name: str
    target: str
    samples: int | None = None
    digits: int = 1


def tables(audit: Audit) -> Sequence[tuple[str, Sequence[Column]]]:
    """The three tables of the page: utility as the field reports it, recognition, cost."""
    return (
        ("What the field reports", _reported(audit)),
        ("Can forgotten samples be recognised?", _recognised(audit)),
        ("Time and change", _cost()),
    )


def _reported(audit: Audit) -> Sequence[Column]:
    forget, counts, like = audit.counts.forget, audit.counts, _like(audit)
    return (
        Column("unlearning_accuracy", "UA", "Wrong answers on forgotten samples", like, forget),
        Column("retain_accuracy", "RA", "Right answers on retained samples", like, counts.retain),
        Column("test_accuracy", "TA", "Right answers on unseen samples", "high", counts.test_scored),
        Column("mia_svc_confidence", "MIA", "Forgotten samples taken for unseen", like, forget),
        Column("average_gap", "Gap", "Mean distance to retraining over these four", "0"),
        *(_closeness() if audit.retrained else ()),
    )


def _recognised(audit: Audit) -> Sequence[Column]:
    forget, counts = audit.counts.forget, audit.counts
    aim = _like(audit) if audit.retrained else "50"
    return (
        Column("auc_forget_vs_test", "AUC", "Forgotten against unseen", aim, min(forget, counts.unseen)),
        Column("recognised_at_one_percent", "at 1 %", "Recognised at 1 % false alarms", "1", forget),
        *(_against_references(audit, aim) if audit.original.rmia_auc is not None else ()),
        Column("entropy_forget", "Entropy", "Forgotten samples, nats", "like unseen", forget, 2),
        Column("entropy_holdout", "Entropy", "Held-out samples, nats", "unchanged", counts.holdout, 2),
        Column("entropy_test", "Entropy", "Test samples, nats", "unchanged", counts.test, 2),
    )


def _closeness() -> Sequence[Column]:
    """What only a retrained network makes measurable, besides the gap."""
    return (Column("tow", "ToW", "Likeness to retraining in FA, RA and TA, 0 to 1", "1", digits=2),)


def _against_references(audit: Audit, aim: str) -> Sequence[Column]:
    """What only reference networks make measurable."""
    forget, unseen = audit.counts.forget, audit.counts.unseen
    share = aim if audit.retrained else "1"
    return (
        Column("rmia_auc", "RMIA", "The same against reference networks", aim, min(forget, unseen)),
        Column("rmia_at_one_percent", "RMIA at 1 %", "Recognised so at 1 % false alarms", share, forget),
    )


def _cost() -> Sequence[Column]:
    return (
        Column("seconds", "Seconds", "Time to make the network", "low"),
        Column("time_ratio", "Ratio", "Time against retraining", "far below 1", digits=2),
        Column("changed_codes_percent", "Codes", "Integer weights that changed, %", "low", digits=2),
    )


def _like(audit: Audit) -> str:
    return "like retrained" if audit.retrained else "like retraining"
