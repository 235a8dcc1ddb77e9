"""Gradients as lists of tensors, one a parameter, without flattening them into one vector."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

Gradient = list[Tensor]


def gradient_of(loss: Float[Tensor, ""], parameters: Sequence[Tensor]) -> Gradient:
    """The gradient of `loss`, zeros for a parameter that it does not depend on."""
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return [
        torch.zeros_like(parameter) if gradient is None else gradient
        for parameter, gradient in zip(parameters, found, strict=True)
    ]


def inners(first: Sequence[Tensor], second: Sequence[Tensor]) -> Float[Tensor, " tensors"]:
    """The inner product of each pair of tensors, as float64.

    Each product is summed in the tensors' own precision and only the sums are widened: the error is
    that of one BLAS dot product, well under 1e-6 of the product of the norms.
    """
    products = [_dot(one, other) for one, other in zip(first, second, strict=True)]
    return torch.stack(products).double()


def inner(first: Sequence[Tensor], second: Sequence[Tensor]) -> Float[Tensor, ""]:
    """The inner product over all tensors together, as float64."""
    return inners(first, second).sum()


def _dot(first: Tensor, second: Tensor) -> Tensor:
    if first.stride() == second.stride() and _is_dense(first):
        # In equal dense layouts elements pair up in memory order; to reshape channels_last would copy.
        first, second = (tensor.as_strided((tensor.numel(),), (1,)) for tensor in (first, second))
    return torch.dot(first.reshape(-1), second.reshape(-1))


def _is_dense(tensor: Tensor) -> bool:
    channels_last = tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return channels_last or tensor.is_contiguous()
