"""Projection of the forget gradient: inner products, orthogonal complements, and the retain directions to protect."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Gradient = list[Tensor]


def gradient_of(loss: Float[Tensor, ""], parameters: Sequence[Tensor]) -> Gradient:
    """The gradient of `loss`; zeros for a parameter that is frozen or that the loss does not depend on."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    computed = iter(torch.autograd.grad(loss, trained, allow_unused=True))
    gradients = [next(computed) if parameter.requires_grad else None for parameter in parameters]
    return [
        torch.zeros_like(parameter) if gradient is None else gradient
        for parameter, gradient in zip(parameters, gradients, strict=True)
    ]


def inner_products(first: Sequence[Tensor], second: Sequence[Tensor]) -> Float[Tensor, " tensors"]:
    """The inner product of each pair of tensors, as float64.

    Each product is summed in the precision of the tensors, and only the sums are widened. The error is that of one
    BLAS dot product, well under 1e-6 of the product of the norms.
    """
    products = [_dot(one, other) for one, other in zip(first, second, strict=True)]
    return torch.stack(products).double()


def inner_product(first: Sequence[Tensor], second: Sequence[Tensor]) -> Float[Tensor, ""]:
    """The inner product over all tensors together, as float64."""
    return inner_products(first, second).sum()


def _dot(first: Tensor, second: Tensor) -> Tensor:
    if first.stride() == second.stride() and _is_dense(first):
        # In equal dense layouts elements pair up in memory order. Reshaping channels_last would copy.
        first, second = (tensor.as_strided((tensor.numel(),), (1,)) for tensor in (first, second))
    return torch.dot(first.reshape(-1), second.reshape(-1))


def _is_dense(tensor: Tensor) -> bool:
    channels_last = tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return channels_last or tensor.is_contiguous()


ProjectionWhen = Literal["always", "on_conflict", "never"]
ProjectionScope = Literal["global", "per_tensor"]


def remove_component(gradient: Sequence[Tensor], direction: Sequence[Tensor]) -> Gradient:
    """The part of `gradient` that is orthogonal to `direction`, with all tensors taken as one vector."""
    result = [tensor.clone() for tensor in gradient]
    project_(result, direction, when="always", scope="global")
    return result


def project_(
    gradient: Gradient, direction: Sequence[Tensor], *, when: ProjectionWhen, scope: ProjectionScope
) -> None:
    """Remove the component along `direction` from `gradient`, in place.

    Args:
        gradient: one tensor per parameter; overwritten.
        direction: the same shapes; usually the gradient of the retain loss.
        when: `always`; `on_conflict` only for a negative inner product, where following one raises the loss of the
            other, as PCGrad and A-GEM do; or `never`.
        scope: `global` takes all tensors as one vector, as first-order theory does. `per_tensor` projects each
            tensor on its own, which is stricter and implies the former.
    """
    if when == "never":
        return
    products, squares = inner_products(gradient, direction), inner_products(direction, direction)
    if scope == "global":
        products = products.sum().expand_as(products)
        squares = squares.sum().expand_as(squares)
    # c = <g_f, g_r> / ||g_r||^2, per tensor or for all. No constant is added to the denominator: it would undo the
    # projection for short directions, and the retain gradients of a well-trained network are short.
    coefficients = torch.where(squares > 0, products / squares, 0.0)
    if when == "on_conflict":
        coefficients = coefficients.clamp(max=0.0)
    # One read of all coefficients: on an accelerator each separate read would wait for the queue.
    for tensor, along, scalar in zip(gradient, direction, coefficients.tolist(), strict=True):
        tensor.sub_(along, alpha=scalar)  # g_f <- g_f - c g_r, without a temporary of the network's size


def clip_norm_(gradient: Gradient, longest: float) -> None:
    """Scale `gradient` down to the length `longest` if it is longer, with all tensors as one vector, in place."""
    length = math.sqrt(float(inner_product(gradient, gradient)))
    if length > longest:
        torch._foreach_mul_(gradient, longest / length)


ReferenceKind = Literal["batch", "span", "average"]


@dataclass
class RetainReference:
    """The direction or directions that a projected forget gradient must not disturb.

    Attributes:
        kind: `batch`: the retain gradient of the step. `span`: the span of the last `memory` ones, by a QR
            decomposition (after OrthoGrad, arXiv 2503.02312, which spans the gradients of single samples).
            `average`: their exponential moving average with time constant `memory`, a cheap substitute for a larger
            batch.
        memory: how many steps.
    """

    kind: ReferenceKind
    memory: int
    _kept: list[Gradient] = field(default_factory=list)

    def remember(self, retain_gradient: Sequence[Tensor]) -> None:
        """Take in the retain gradient of a step; call this once per step, before projecting."""
        latest = list(retain_gradient)
        if self.kind == "span":
            self._kept = [*self._kept, [tensor.clone() for tensor in latest]][-self.memory :]
        elif self.kind == "average" and self._kept:
            torch._foreach_lerp_(self._kept[0], latest, 1 / self.memory)  # a <- a + (g - a) / memory
        elif self.kind == "average":
            self._kept = [[tensor.clone() for tensor in latest]]
        else:
            self._kept = [latest]

    def project_(self, gradient: Gradient, *, when: ProjectionWhen, scope: ProjectionScope) -> None:
        """Remove from `gradient`, in place, its components along the reference; see the function `project_`.

        With a span, `scope` is always global. Under `on_conflict`, a direction of the orthonormal basis is removed
        only where the gradient goes against the remembered gradient that it came from.
        """
        if when == "never":
            return
        if self.kind != "span" or len(self._kept) == 1:
            project_(gradient, self._kept[-1], when=when, scope=scope)
            return
        flat = torch.cat([tensor.flatten() for tensor in gradient])
        directions = torch.stack([torch.cat([part.flatten() for part in one]) for one in self._kept], dim=1)
        # Columns of length 1, so that a step with a long gradient does not dominate the decomposition numerically.
        lengths = directions.norm(dim=0)
        directions = directions[:, lengths > 0] / lengths[lengths > 0]
        basis, upper = torch.linalg.qr(directions)
        # Q is unique up to the sign of its columns. With a positive diagonal of R each column points along the part
        # of its gradient that is new, which `on_conflict` needs.
        basis = basis * upper.diagonal().sign()
        along = basis.T @ flat
        flat -= basis @ (along.clamp(max=0.0) if when == "on_conflict" else along)
        for tensor, part in zip(
            gradient, torch.split(flat, [tensor.numel() for tensor in gradient]), strict=True
        ):
            tensor.copy_(part.view_as(tensor))
