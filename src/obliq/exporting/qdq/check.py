"""The operators that files of other quantizers may use, and what must hold of the whole.

Activations are bytes of either sign with any zero point, weights int8 codes around zero with one scale or one
an output, biases int32 codes in the accumulator's unit or plain float32. Between roundings a file computes in
real numbers, and rounds where it likes.
"""

from collections.abc import Mapping
from dataclasses import replace

from obliq.errors import ModelError
from obliq.exporting.onnx.check_graph import Operator, Value, followed
from obliq.exporting.onnx.contents import LARGEST_FILE, Contents, OnnxNode
from obliq.exporting.operations import OPERATIONS
from obliq.exporting.operations.layer import bits_within
from obliq.exporting.qdq.computed import BATCH
from obliq.exporting.qdq.functions import FUNCTIONS, require_softmax_last
from obliq.exporting.qdq.moves import MOVES, require_free_batch
from obliq.exporting.qdq.parse import Declared, foreign_parsed
from obliq.exporting.qdq.rounding import ROUNDING
from obliq.exporting.qdq.selections import SELECTIONS
from obliq.exporting.qdq.stored import stored_layer
from obliq.io.budget import Budget

QDQ_RULES: dict[str, Operator] = {
    **ROUNDING,
    **{name: one for step in OPERATIONS for name, one in {**step.onnx, **step.qdq}.items() if not one.own},
    **FUNCTIONS,
    **MOVES,
    **SELECTIONS,
}
"""Every operator that is read in these files, in the standard domain."""


def foreign_contents(data: bytes) -> Contents:
    """What is in the bytes of a file of another quantizer, checked in full.

    Raises:
        ModelError: in one line; unsupported operators and layouts by the name of what the node makes.
    """
    if len(data) > LARGEST_FILE:
        raise ModelError(f"{len(data)} bytes; expected at most {LARGEST_FILE}")
    budget = Budget(len(data), ModelError)
    contents, declared, node_constants = foreign_parsed(data, QDQ_RULES, budget)
    for name, held in contents.constants.items():
        if contents.kinds[name] == "int64" and bool((held == BATCH).any()):
            raise ModelError(
                f"constant {name!r} holds {BATCH}, which stands for the batch here; expected other sizes"
            )
    values = followed(contents, QDQ_RULES, node_constants, budget)
    for one in declared:
        if one[0] in values:
            _require_as_declared(one, values[one[0]], contents.batch)
    require_softmax_last(contents.nodes, contents.ends[1])
    require_free_batch(contents.nodes, values, contents.batch)
    layers = [node for node in contents.nodes if is_quantized(node, values)]
    if not layers:
        raise ModelError(
            "no layer has int8 weights between rounding and products; expected a quantized network in QDQ form "
            "(QuantizeLinear and DequantizeLinear)"
        )
    return replace(
        contents, codes={node.output: stored_layer(node, contents, values).codes for node in layers}
    )


def is_quantized(node: OnnxNode, values: Mapping[str, Value]) -> bool:
    """Whether a node is a layer with codes; a layer of real weights computes as it is and is not trained."""
    return QDQ_RULES[node.operator].weighted and values[node.inputs[1]].codes is not None


def values_in(contents: Contents) -> dict[str, Value]:
    """What is known of each value in a file that was checked."""
    return followed(contents, QDQ_RULES, frozenset(contents.constants))


def bits_in(contents: Contents) -> str:
    """Bits of weights and of the activations that layers read, such as W8A8; the largest where they differ.

    Activations that are not rounded have 32.
    """
    values, weights, activations = values_in(contents), [1], [1]
    for node in contents.nodes:
        if is_quantized(node, values):
            source, weight = (values[name] for name in node.inputs[:2])
            weights.append(bits_within(node, weight.span))
            codes = source.span[1] - source.span[0]
            activations.append(32 if source.scale is None else min(codes.bit_length(), 8))
    return f"W{max(weights)}A{max(activations)}"


def _require_as_declared(declared: Declared, value: Value, batch: int | None) -> None:
    """Runtimes plan memory by declared shapes. Declarations of values that do not exist are ignored."""
    name, kind, sizes = declared
    found = (batch, *value.shape) if value.flows else value.shape
    free = (None,) * len(found)  # sizes that have a name alone
    fits = (
        value.flows
        and len(sizes) == len(found)
        and all(s in (None, f) for s, f in zip(sizes, found, strict=True))
    )
    if kind != value.kind or (sizes not in (found, free) and not fits):
        raise ModelError(f"{name!r} is declared as {kind} of shape {sizes}; expected {value.kind} of {found}")
