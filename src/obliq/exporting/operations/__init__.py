"""What a deployed network may compute: one module an operation, each a subclass of `Step`.

A module says everything about its operation: how it is found in the traced network, computed in NumPy and in
PyTorch, written to a file, and checked in a file. A new one is a module with such a class, and its line in
`OPERATIONS`.
"""

from obliq.exporting.operations.add import Add
from obliq.exporting.operations.average_pool import AveragePool
from obliq.exporting.operations.convolution import Convolution
from obliq.exporting.operations.flatten import Flatten
from obliq.exporting.operations.layer import Layer
from obliq.exporting.operations.linear import Linear
from obliq.exporting.operations.max_pool import MaxPool
from obliq.exporting.operations.quantize import Quantize
from obliq.exporting.operations.step import Step, TracedCall

OPERATIONS: tuple[type[Step], ...] = (Quantize, Convolution, Linear, Add, AveragePool, MaxPool, Flatten)
"""Everything that is exported; messages list it in this order."""

__all__ = [
    "OPERATIONS",
    "Add",
    "AveragePool",
    "Convolution",
    "Flatten",
    "Layer",
    "Linear",
    "MaxPool",
    "Quantize",
    "Step",
    "TracedCall",
]
