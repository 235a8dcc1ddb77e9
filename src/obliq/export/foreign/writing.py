"""The same file with other codes: nothing but the bytes of weights and biases is written."""

from collections.abc import Mapping

import numpy as np
from numpy import ndarray
from torch import nn

from obliq.errors import ModelError
from obliq.export.contents import Contents
from obliq.export.foreign.fields import tree
from obliq.export.foreign.network import ForeignNetwork
from obliq.export.trained import in_units, require_same_grid, trained_bias, trained_codes
from obliq.quantization import QuantizedWeight


def with_weights_of(data: bytes, contents: Contents, network: nn.Module) -> bytes:
    """The file with the codes and biases of a network that was rebuilt from it and then trained.

    Channels whose scale is too fine for training keep their codes.

    Args:
        data: the file that the network was rebuilt from.
        contents: what was read from it.
        network: as `rebuilt` made it, trained on the grid that it has.

    Raises:
        ModelError: when the network is of another file, its grid was moved, or a bias does not lie in raw bytes.
    """
    if not isinstance(network, ForeignNetwork) or network.contents.nodes != contents.nodes:
        raise ModelError("the network was not rebuilt from this file; expected one that was")
    changed: dict[str, ndarray] = {}
    for number, layer in network.layers.items():
        node = contents.nodes[int(number)]
        _, weight, bias = node.inputs
        assert isinstance(layer, QuantizedWeight)
        scale = network.stored.scale(weight)
        assert scale is not None
        require_same_grid(repr(node.output), layer.weight_step, scale)
        name = network.stored.constant(weight)
        changed[name] = trained_codes(layer, scale, contents.constants[name])
        real, unit = trained_bias(layer), network.stored.scale(bias)
        changed[network.stored.constant(bias)] = (
            real.astype(np.float32) if unit is None else in_units(real, unit)
        )
    return _replaced(data, changed)


def _replaced(data: bytes, changed: Mapping[str, ndarray]) -> bytes:
    """The bytes of a file with other values for some constants, in place."""
    copy = bytearray(data)
    for tensor in tree(memoryview(copy))["graph"]["constants"]:
        if tensor["name"] in changed:
            values = changed[tensor["name"]]
            raw = values.astype(values.dtype.newbyteorder("<")).tobytes()
            if tensor["raw"] is None or len(tensor["raw"]) != len(raw):
                raise ModelError(f"constant {tensor['name']!r} lies in a typed field; expected raw bytes")
            tensor["raw"][:] = raw
    return bytes(copy)
