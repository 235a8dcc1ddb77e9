"""A story and an audit as a demo would have them."""

import math
from datetime import UTC, datetime

from obliq.auditing import Audit, audit_models
from obliq.exporting import Agreement, CodeAgreement, Parity
from obliq.report import PatchSize, ReportContext, Shipment
from tests.auditing.synthetic import three


def sample_audit(**arguments: object) -> Audit:
    return audit_models(
        three(**arguments), precision="W4A4", digests={"partition": "b" * 64, "splits": "c" * 64}
    )


def sample_story(**changes: object) -> ReportContext:
    trace = [
        {
            "stage": "unlearn",
            "step": step,
            "of": 200,
            "retain_loss": 0.2 + 0.1 * math.exp(-step / 40),
            "forget_loss": -0.4 - step / 400,
            "angle": 95 + 12 * math.sin(step / 30),
            "predicted_forget_change": 0.0,
            "measured_forget_change": 0.001 * math.sin(step),
            "predicted_change": -0.01 * math.exp(-step / 60),
            "measured_change": -0.009 * math.exp(-step / 60),
            "changed_codes": 0.04 * (1 - math.exp(-step / 70)),
        }
        for step in range(1, 201, 10)
    ]
    training = {
        name: [
            {
                "stage": "train",
                "step": epoch,
                "of": 20,
                "loss": 1.6 * math.exp(-epoch / speed),
                "accuracy": 99 - 60 * math.exp(-epoch / 3),
            }
            for epoch in range(1, 21)
        ]
        for name, speed in (("original", 4.0), ("retrained", 4.3))
    }
    values = {
        "title": "Forgetting one writer",
        "request": "one subject",
        "data": "digits",
        "architecture": "convnet",
        "method": "oeu",
        "method_settings": {"objective": "calibrated", "epochs": 5, "learning_rate": 0.01},
        "training_settings": {"epochs": 20},
        "trace": trace,
        "training": training,
        "versions": {"obliq": "0.1.0", "torch": "2.13.0"},
        "created": datetime(2026, 3, 1, 9, 5, tzinfo=UTC),
    }
    return ReportContext(**(values | changes))


def sample_shipment() -> Shipment:
    """A file of which nearly every activation agrees, and one answer in 260 does not."""
    alike = Agreement(same_top1=1.0, largest_difference=0.0, mean_difference=0.0)
    codes = CodeAgreement(compared=10**6, equal=0.999999, largest_step=1)
    parity = Parity(
        samples=260,
        runtime="onnxruntime 1.0",
        deployed_network=alike,
        reference=alike,
        activations=codes,
        network=Agreement(same_top1=259 / 260, largest_difference=0.2, mean_difference=0.01),
        deployed_activations=codes,
        exact_activations=codes,
        largest_bias_rounding=0.01,
    )
    return Shipment(
        file="unlearned.onnx",
        form="integer ONNX file",
        precision="W4A4",
        bytes=28_000,
        content_digest="e" * 64,
        parity=parity,
        patch=PatchSize(bytes=1_120, codes=90, changed_codes=7, changed_words=3),
    )
