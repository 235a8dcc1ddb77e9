"""Removing from one gradient what it has in common with another.

    g_perp = g - (<g, d> / ||d||^2) d, and g itself where d = 0

so that to first order a step along -g_perp leaves the loss whose gradient is d unchanged.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from obliq.surgery.gradients import Gradient, inner, inners

When = Literal["always", "on_conflict", "never"]
Scope = Literal["global", "per_tensor"]


def remove_component(gradient: Sequence[Tensor], direction: Sequence[Tensor]) -> Gradient:
    """The part of `gradient` that is orthogonal to `direction`, over all tensors as one vector."""
    result = [tensor.clone() for tensor in gradient]
    project_(result, direction, when="always", scope="global")
    return result


def project_(gradient: Gradient, direction: Sequence[Tensor], *, when: When, scope: Scope) -> None:
    """Remove the component along `direction` from `gradient`, in place.

    Args:
        gradient: one tensor a parameter; overwritten.
        direction: the same shapes; usually the gradient of the retain loss.
        when: `always`; `on_conflict` only where the two disagree (negative inner product: following
            one raises the other's loss), as PCGrad and A-GEM do; `never`.
        scope: `global` treats all tensors as one vector, the statement that first-order theory makes;
            `per_tensor` projects each tensor by itself, which is stricter and implies the former.
    """
    if when == "never":
        return
    products, squares = inners(gradient, direction), inners(direction, direction)
    if scope == "global":
        products = products.sum().expand_as(products)
        squares = squares.sum().expand_as(squares)
    # No constant is added to the denominator: it would undo the projection for short directions, and
    # retain gradients of a well-trained network are short.
    coefficients = torch.where(squares > 0, products / squares, 0.0)
    if when == "on_conflict":
        coefficients = coefficients.clamp(max=0.0)
    # One read of all coefficients: on an accelerator each separate one would stop the queue.
    for tensor, along, scalar in zip(gradient, direction, coefficients.tolist(), strict=True):
        tensor.sub_(along, alpha=scalar)  # and no temporary of the size of the network


def shorten_(gradient: Gradient, longest: float) -> None:
    """Scale `gradient` to the length `longest` where it is longer, over all tensors, in place."""
    length = math.sqrt(float(inner(gradient, gradient)))
    if length > longest:
        torch._foreach_mul_(gradient, longest / length)
