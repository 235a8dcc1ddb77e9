"""Files of quantizers that are not ours: ONNX Runtime's (QDQ form) and torchao's PT2E, through torch.onnx."""

from obliq.exporting.qdq.check import foreign_contents
from obliq.exporting.qdq.parse import PRODUCERS, is_foreign
from obliq.exporting.qdq.rebuild import ForeignNetwork, file_with_weights, rebuild_foreign

__all__ = [
    "PRODUCERS",
    "ForeignNetwork",
    "file_with_weights",
    "foreign_contents",
    "is_foreign",
    "rebuild_foreign",
]
