"""What a deployed network may compute: one module an operation, each a subclass of `Step`.

A module holds everything about its operation: how it is found in the traced network, computed in NumPy and in
PyTorch, written to a file, and checked in a file. A new one is a module with such a class, and its line in
`OPERATIONS`.
"""

from obliq.exporting.operations.add import Add
from obliq.exporting.operations.average_pool import AveragePool
from obliq.exporting.operations.concatenate import Concatenate
from obliq.exporting.operations.convolution import Convolution
from obliq.exporting.operations.flatten import Flatten
from obliq.exporting.operations.layer import Layer
from obliq.exporting.operations.linear import Linear
from obliq.exporting.operations.max_pool import MaxPool, UnevenMaxPool
from obliq.exporting.operations.multiply import Multiply
from obliq.exporting.operations.quantize import Quantize
from obliq.exporting.operations.rearrange import Reshape, Take, Transpose
from obliq.exporting.operations.step import Step, TracedCall
from obliq.exporting.operations.table import LookupTable
from obliq.exporting.operations.transposed_convolution import TransposedConvolution

OPERATIONS: tuple[type[Step], ...] = (
    *(Quantize, Convolution, TransposedConvolution, Linear, Add, Multiply, Concatenate, LookupTable),
    *(AveragePool, MaxPool, UnevenMaxPool, Flatten, Reshape, Take, Transpose),
)
"""Everything that is exported; messages list it in this order."""

IN_FILES = {name: step for step in OPERATIONS for name in (*step.onnx, *step.qdq)}
"""What the ONNX operators are that files have for them."""

MOVING: dict[str, type[Step]] = {
    "Gather": Take,  # of a constant it is a `LookupTable`
    **{name: step for step in OPERATIONS if step.moves for name in step.onnx},
}
"""Those that only move codes, in files of our exporter."""


__all__ = [
    "IN_FILES",
    "MOVING",
    "OPERATIONS",
    "Add",
    "AveragePool",
    "Concatenate",
    "Convolution",
    "Flatten",
    "Layer",
    "Linear",
    "LookupTable",
    "MaxPool",
    "Multiply",
    "Quantize",
    "Reshape",
    "Step",
    "Take",
    "TracedCall",
    "Transpose",
    "TransposedConvolution",
    "UnevenMaxPool",
]
