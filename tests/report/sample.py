"""A story and an audit as a demo would have them."""

import math

from obliq.audit import Audit, audit
from obliq.report import Story
from tests.audit.synthetic import three


def sample_audit(**arguments: object) -> Audit:
    return audit(three(**arguments), precision="W4A4", digests={"partition": "b" * 64, "splits": "c" * 64})


def sample_story(**changes: object) -> Story:
    trace = [
        {
            "stage": "unlearn", "step": step, "of": 200, "retain_loss": 0.2 + 0.1 * math.exp(-step / 40),
            "forget_loss": -0.4 - step / 400, "angle": 95 + 12 * math.sin(step / 30),
            "predicted_forget_change": 0.0, "measured_forget_change": 0.001 * math.sin(step),
            "predicted_change": -0.01 * math.exp(-step / 60),
            "measured_change": -0.009 * math.exp(-step / 60),
            "changed_codes": 0.04 * (1 - math.exp(-step / 70)),
        }
        for step in range(1, 201, 10)
    ]  # fmt: skip
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
        "title": "Forgetting one writer", "request": "one subject", "data": "digits",
        "architecture": "convnet", "method": "oeu",
        "method_settings": {"objective": "calibrated", "epochs": 5, "learning_rate": 0.01},
        "training_settings": {"epochs": 20}, "trace": trace, "training": training,
        "versions": {"obliq": "0.1.0", "torch": "2.13.0"},
    }  # fmt: skip
    return Story(**(values | changes))
