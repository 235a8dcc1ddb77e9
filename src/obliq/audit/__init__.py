"""Audits: what a network still shows of the samples it was asked to forget, and what it still can do."""

from obliq.audit.document import SCHEMA, VERSION, read, write
from obliq.audit.intervals import Interval
from obliq.audit.measure import AuditedModel, audit
from obliq.audit.measurement import Audit, Counts, Histogram, Measurement
from obliq.audit.membership import Separation, separation, svc_confidence
from obliq.audit.signals import RoleSignals, Signals, signals
from obliq.audit.utility import utility
from obliq.audit.verdict import Verdict, judge

__all__ = [
    "SCHEMA",
    "VERSION",
    "Audit",
    "AuditedModel",
    "Counts",
    "Histogram",
    "Interval",
    "Measurement",
    "RoleSignals",
    "Separation",
    "Signals",
    "Verdict",
    "audit",
    "judge",
    "read",
    "separation",
    "signals",
    "svc_confidence",
    "utility",
    "write",
]
