"""Audits: what a network still shows of the samples it was asked to forget, and what it still can do."""

from obliq.audit.accuracy import utility
from obliq.audit.document import SCHEMA, VERSION, read, write
from obliq.audit.intervals import Interval
from obliq.audit.measure import AuditedModel, audit
from obliq.audit.measurement import Artifact, Audit, Counts, Histogram, Measurement
from obliq.audit.membership import Separation, separation, svc_confidence
from obliq.audit.reference_attacks import (
    ReferenceAnswers,
    ReferenceSignals,
    memorisation_scores,
    relative_separation,
)
from obliq.audit.signals import RoleSignals, Signals, signals, signals_of
from obliq.audit.verdict import Verdict, judge

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
    "audit",
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
