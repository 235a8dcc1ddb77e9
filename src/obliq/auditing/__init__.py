"""Audits: what a network still shows of the samples it was asked to forget, and what it still can do."""

from obliq.auditing.accuracy import utility
from obliq.auditing.document import SCHEMA, VERSION, read, write
from obliq.auditing.intervals import Interval
from obliq.auditing.measure import AuditedModel, audit_models
from obliq.auditing.measurement import Artifact, Audit, Counts, Histogram, Measurement
from obliq.auditing.membership import Separation, separation, svc_confidence
from obliq.auditing.reference_attacks import (
    ReferenceAnswers,
    ReferenceSignals,
    memorisation_scores,
    relative_separation,
)
from obliq.auditing.signals import RoleSignals, Signals, signals, signals_of
from obliq.auditing.verdict import Verdict, judge

__all__ = [
    "SCHEMA",
    "VERSION",
    "Artifact",
    "Audit",
    "AuditedModel",
    "Counts",
    "Histogram",
    "Interval",
    "Measurement",
    "ReferenceAnswers",
    "ReferenceSignals",
    "RoleSignals",
    "Separation",
    "Signals",
    "Verdict",
    "audit_models",
    "judge",
    "memorisation_scores",
    "read",
    "relative_separation",
    "separation",
    "signals",
    "signals_of",
    "svc_confidence",
    "utility",
    "write",
]
