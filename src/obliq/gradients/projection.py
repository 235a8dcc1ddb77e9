"""What the forget gradient is projected against: this batch's retain gradient, or more of the past."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Gradient = list[Tensor]


def gradient_of(loss: Float[Tensor, ""], parameters: Sequence[Tensor]) -> Gradient:
    """The gradient of `loss`, zeros for a parameter that is frozen or that it does not depend on."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    found = iter(torch.autograd.grad(loss, trained, allow_unused=True))
    gradients = [next(found) if parameter.requires_grad else None for parameter in parameters]
    return [
        torch.zeros_like(parameter) if gradient is None else gradient
        for parameter, gradient in zip(parameters, gradients, strict=True)
    ]


def inner_products(first: Sequence[Tensor], second: Sequence[Tensor]) -> Float[Tensor, " tensors"]:
    """The inner product of each pair of tensors, as float64.

    Each product is summed in the tensors' own precision and only the sums are widened: the error is
    that of one BLAS dot product, well under 1e-6 of the product of the norms.
    """
    products = [_dot(one, other) for one, other in zip(first, second, strict=True)]
    return torch.stack(products).double()


def inner_product(first: Sequence[Tensor], second: Sequence[Tensor]) -> Float[Tensor, ""]:
    """The inner product over all tensors together, as float64."""
    return inner_products(first, second).sum()


def _dot(first: Tensor, second: Tensor) -> Tensor:
    if first.stride() == second.stride() and _is_dense(first):
        # In equal dense layouts elements pair up in memory order; to reshape channels_last would copy.
        first, second = (tensor.as_strided((tensor.numel(),), (1,)) for tensor in (first, second))
    return torch.dot(first.reshape(-1), second.reshape(-1))


def _is_dense(tensor: Tensor) -> bool:
    channels_last = tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return channels_last or tensor.is_contiguous()


ProjectionWhen = Literal["always", "on_conflict", "never"]
ProjectionScope = Literal["global", "per_tensor"]


def remove_component(gradient: Sequence[Tensor], direction: Sequence[Tensor]) -> Gradient:
    """The part of `gradient` that is orthogonal to `direction`, over all tensors as one vector."""
    result = [tensor.clone() for tensor in gradient]
    project_(result, direction, when="always", scope="global")
    return result


def project_(
    gradient: Gradient, direction: Sequence[Tensor], *, when: ProjectionWhen, scope: ProjectionScope
) -> None:
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
    products, squares = inner_products(gradient, direction), inner_products(direction, direction)
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


def clip_norm_(gradient: Gradient, longest: float) -> None:
    """Scale `gradient` to the length `longest` where it is longer, over all tensors, in place."""
    length = math.sqrt(float(inner_product(gradient, gradient)))
    if length > longest:
        torch._foreach_mul_(gradient, longest / length)


ReferenceKind = Literal["batch", "span", "average"]


@dataclass
class RetainReference:
    """The direction or directions that a projected forget gradient must not disturb.

    Attributes:
        kind: `batch`: the retain gradient of the step. `span`: the span of the last `memory` ones, by QR
            (after OrthoGrad, arXiv 2503.02312, which spans the gradients of single samples). `average`:
            their exponential moving average with time constant `memory`, a cheap stand-in for a larger batch.
        memory: how many steps.
    """

    kind: ReferenceKind
    memory: int
    _kept: list[Gradient] = field(default_factory=list)

    def remember(self, retain_gradient: Sequence[Tensor]) -> None:
        """Take in a step's retain gradient; call once a step, before projecting."""
        latest = list(retain_gradient)
        if self.kind == "span":
            self._kept = [*self._kept, [tensor.clone() for tensor in latest]][-self.memory :]
        elif self.kind == "average" and self._kept:
            torch._foreach_lerp_(self._kept[0], latest, 1 / self.memory)
        elif self.kind == "average":
            self._kept = [[tensor.clone() for tensor in latest]]
        else:
            self._kept = [latest]

    def project_(self, gradient: Gradient, *, when: ProjectionWhen, scope: ProjectionScope) -> None:
        """Remove from `gradient`, in place, what lies along the reference; see `projections.project_`.

        With a span, `scope` is always global; under `on_conflict` each direction of the orthonormal
        basis is removed only where the gradient goes against the remembered gradient that it came from.
        """
        if when == "never":
            return
        if self.kind != "span" or len(self._kept) == 1:
            project_(gradient, self._kept[-1], when=when, scope=scope)
            return
        flat = torch.cat([tensor.flatten() for tensor in gradient])
        directions = torch.stack([torch.cat([part.flatten() for part in one]) for one in self._kept], dim=1)
        lengths = directions.norm(dim=0)
        directions = directions[:, lengths > 0] / lengths[lengths > 0]
        basis, upper = torch.linalg.qr(directions)
        basis = basis * upper.diagonal().sign()
        along = basis.T @ flat
        flat -= basis @ (along.clamp(max=0.0) if when == "on_conflict" else along)
        for tensor, part in zip(
            gradient, torch.split(flat, [tensor.numel() for tensor in gradient]), strict=True
        ):
            tensor.copy_(part.view_as(tensor))
