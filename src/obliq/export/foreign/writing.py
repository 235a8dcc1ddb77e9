"""The same file with other codes: nothing but the bytes of weights and biases is written."""

from collections.abc import Mapping

import numpy as np
from numpy import ndarray
from torch import nn

from obliq.errors import ModelError
from obliq.export.contents import Contents
from obliq.export.foreign.fields import tree
from obliq.export.foreign.network import ForeignNetwork
from obliq.quantization import QuantizedWeight, weight_codes
from obliq.quantization.learned_step import SMALLEST_STEP

_LARGEST = 2**31 - 1


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
        if not np.array_equal(layer.weight_step.detach().cpu().numpy(), scale):
            raise ModelError(
                f"the grid of {node.output!r} was moved; expected a method that keeps it, as oeu --steps frozen"
            )
        name = network.stored.constant(weight)
        codes = weight_codes(layer).cpu().numpy()
        usable = (scale >= SMALLEST_STEP).reshape(-1, *(1,) * (codes.ndim - 1))
        changed[name] = np.where(usable, codes, contents.constants[name])
        changed[network.stored.constant(bias)] = _bias(layer, network.stored.scale(bias))
    return _replaced(data, changed)


def _bias(layer: QuantizedWeight, unit: ndarray | None) -> ndarray:
    assert isinstance(layer.bias, nn.Parameter)
    real: ndarray = layer.bias.detach().cpu().double().numpy()
    if unit is None:
        return real.astype(np.float32)
    return np.clip(np.rint(real / unit.astype(np.float64)), -_LARGEST, _LARGEST).astype(np.int32)


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
