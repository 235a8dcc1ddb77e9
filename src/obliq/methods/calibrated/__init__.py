"""Calibrated unlearning, and how its targets are computed.

`calibrated` is the method, `targets` combines the other two for a network, `matching` computes targets from
confidences, and `difficulty` scores samples by reference models that never saw the forget set.
"""

from obliq.methods.calibrated.calibrated import Calibrated

__all__ = ["Calibrated"]
