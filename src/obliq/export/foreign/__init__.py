"""Files of quantizers that are not ours: ONNX Runtime's (QDQ form) and torchao's PT2E, through torch.onnx."""

from obliq.export.foreign.fields import PRODUCERS, is_foreign
from obliq.export.foreign.network import ForeignNetwork, rebuilt
from obliq.export.foreign.rules import foreign_contents
from obliq.export.foreign.writing import with_weights_of

__all__ = [
    "PRODUCERS",
    "ForeignNetwork",
    "foreign_contents",
    "is_foreign",
    "rebuilt",
    "with_weights_of",
]
