"""What the forget gradient is projected against: this batch's retain gradient, or more of the past."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from obliq.surgery.gradients import Gradient
from obliq.surgery.projections import Scope, When, project_

Reference = Literal["batch", "span", "average"]


@dataclass
class RetainReference:
    """The direction or directions that a projected forget gradient must not disturb.

    Attributes:
        kind: `batch`: the retain gradient of the step. `span`: the span of the last `memory` ones, by QR
            (after OrthoGrad, arXiv 2503.02312, which spans the gradients of single samples). `average`:
            their exponential moving average with time constant `memory`, a cheap stand-in for a larger batch.
        memory: how many steps.
    """

    kind: Reference
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

    def project_(self, gradient: Gradient, *, when: When, scope: Scope) -> None:
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
