"""Audits: does a network still show that it was trained on the forget set, and what can it still do?"""

from obliq.auditing.accuracy import measure_utility
from obliq.auditing.device_answers import DeviceAnswers
from obliq.auditing.document import parse_audit, render_audit
from obliq.auditing.exposure import Exposure, measure_exposure
from obliq.auditing.histograms import Histogram
from obliq.auditing.intervals import Interval
from obliq.auditing.measure import AuditedModel, audit_models
from obliq.auditing.measurement import Artifact, Audit, Counts, Measurement
from obliq.auditing.membership import Separation, confidence_separation, svc_attack
from obliq.auditing.reference_attacks import (
    ReferenceAnswers,
    ReferenceSignals,
    memorisation_scores,
    rmia_separation,
)
from obliq.auditing.signals import RoleSignals, Signals, compute_predictor_signals, compute_signals
from obliq.auditing.verdict import Verdict
from obliq.auditing.verdict_rules import judge

__all__ = [
    "Artifact",
    "Audit",
    "AuditedModel",
    "Counts",
    "DeviceAnswers",
    "Exposure",
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
    "compute_predictor_signals",
    "compute_signals",
    "confidence_separation",
    "judge",
    "measure_exposure",
    "measure_utility",
    "memorisation_scores",
    "parse_audit",
    "render_audit",
    "rmia_separation",
    "svc_attack",
]
