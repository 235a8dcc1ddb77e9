"""The vectors that a layer multiplies with its weight: inputs of a linear layer, patches of a convolution."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from obliq.errors import ModelError


def unfold_inputs(
    layer: nn.Module, inputs: Float[Tensor, "batch ..."]
) -> Float[Tensor, "batch groups row places"]:
    """Every vector that a row of the layer's weight is multiplied with, by sample and group of channels.

    Args:
        layer: a linear layer, or a convolution in one or two dimensions.
        inputs: the layer's inputs; the first axis counts the samples.

    Raises:
        ModelError: for a transposed convolution, whose inputs are multiplied one by one and not in patches.
    """
    if isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d):
        raise ModelError(
            f"a {type(layer).__name__} has no patches of inputs; expected linear layers and convolutions, or another "
            "method than projected-gradient"
        )
    if not isinstance(layer, _ConvNd):
        return inputs.reshape(len(inputs), 1, -1, inputs.shape[-1]).mT
    # The layer's own padding; reversed and repeated twice is the order that F.pad expects.
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    windows = F.pad(inputs, layer._reversed_padding_repeated_twice, mode=mode)
    kernel, dilation, stride = layer.kernel_size, layer.dilation, layer.stride
    if windows.dim() == 3:  # a signal is an image of one row
        windows = windows.unsqueeze(2)
        kernel, dilation, stride = ((1, *value) for value in (kernel, dilation, stride))
    columns = F.unfold(windows, kernel, dilation=dilation, stride=stride)
    batch, rows, places = columns.shape
    return columns.view(batch, layer.groups, rows // layer.groups, places)
