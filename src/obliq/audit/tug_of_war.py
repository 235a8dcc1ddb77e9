"""ToW: forgetting, retaining and generalising as the retrained network does, in one number."""

from obliq.audit.measurement import Measurement

ACCURACIES = ("forget_accuracy", "retain_accuracy", "test_accuracy")


def tug_of_war(measured: Measurement, reference: Measurement) -> float:
    """(1 - |dFA|) (1 - |dRA|) (1 - |dTA|), differences to the retrained network as shares. Target 1, worst 0.

    Source: Zhao et al., "What makes unlearning hard and what to do about it" (RUM), NeurIPS 2024.
    """
    product = 1.0
    for name in ACCURACIES:
        product *= 1 - abs(getattr(measured, name) - getattr(reference, name)) / 100
    return product
