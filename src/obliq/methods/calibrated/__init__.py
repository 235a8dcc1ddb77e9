"""Calibrated unlearning, and how its targets are computed.

`calibrated` is the method, and `without_retain` the one for networks whose retain set is gone. `targets` combines the
other two for a network, `matching` computes targets from confidences, and `difficulty` scores samples by reference
models that never saw the forget set.
"""

from obliq.methods.calibrated.calibrated import Calibrated
from obliq.methods.calibrated.without_retain import CalibratedHoldout

__all__ = ["Calibrated", "CalibratedHoldout"]
