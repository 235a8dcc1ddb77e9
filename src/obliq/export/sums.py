"""What must hold of the layers that add up products: shapes that fit, and sums that fit in int32."""

import numpy as np

from obliq.export.contents import Node
from obliq.export.values import Value, activation, require, whole

_LARGEST_SUM = 2**31 - 1


def gemm(node: Node, read: list[Value]) -> Value:
    """A matrix (outputs, inputs) applied to one row a sample.

    Raises:
        ModelError: when something does not fit.
    """
    source, weight, bias = read
    require(node.settings == {"transB": 1} and whole(node, "transB", 0, 1, 1) == 1, node, "transB of 1")
    fits = source.flows and len(source.shape) == 1 and len(weight.shape) == 2
    require(fits and weight.shape[1] == source.shape[0], node, f"weights for inputs of shape {source.shape}")
    check_sums(node, source, weight, bias)
    return activation("float32", (weight.shape[0],))


def check_sums(node: Node, source: Value, weight: Value, bias: Value) -> None:
    """Reals made from codes, or plain finite reals, whose parts fit together.

    Raises:
        ModelError: when the bias lies on another grid than the products, or a sum could overflow.
    """
    outputs = weight.shape[0]
    real = source.kind == weight.kind == bias.kind == "float32"
    require(real and not weight.flows and not bias.flows, node, "a real activation, constant weight and bias")
    require(bias.shape == (outputs,), node, f"one bias for each of {outputs} outputs")
    in_codes = source.scale is not None, weight.codes is not None, bias.codes is not None
    require(len(set(in_codes)) == 1, node, "input, weight and bias all on grids, or none")
    if not in_codes[0]:
        finite = all(
            part.constant is not None and np.isfinite(part.constant).all() for part in (weight, bias)
        )
        require(finite, node, "finite weights and biases")
        return
    assert source.scale is not None
    assert weight.scale is not None
    assert bias.scale is not None
    assert weight.codes is not None
    assert bias.codes is not None
    require(
        weight.codes.dtype == np.int8 and bias.codes.dtype == np.int32, node, "int8 weights, an int32 bias"
    )
    with np.errstate(over="ignore", under="ignore"):
        unit = source.scale.astype(np.float32) * weight.scale.astype(np.float32)
    require(bool(np.array_equal(unit, bias.scale)), node, "a bias in units of input scale times weight scale")
    wide = np.abs(weight.codes.reshape(outputs, -1).astype(np.int64)).sum(axis=1) * max(map(abs, source.span))
    largest = int((wide + np.abs(bias.codes.astype(np.int64))).max())
    require(largest <= _LARGEST_SUM, node, "sums that fit in int32")
