"""The state of a descent on two losses at once, retain and forget, with a separate momentum for each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from obliq.quantization import learned_steps, weight_codes, weighted_layers
from obliq.run import Run
from obliq.training.loop import is_decayed
from obliq.training.masks import Mask, Restraint


@dataclass
class PairedDescent:
    """A network, its two velocities, and the number of steps taken.

    The velocities are separate so that either term can be projected after momentum. Momentum is linear, so their sum
    is the velocity of ordinary momentum on the summed gradient.

    Attributes:
        model: the network, changed in place.
        generator: orders the batches.
        parameters: the tensors that move.
        retain_velocity: of the retain term, in the order of `parameters`.
        forget_velocity: of the forget term.
        learned_steps: the steps among the parameters; empty when the grid is frozen.
        original_codes: integer weight codes at the start.
        restraint: the entries that a mask holds; None without a mask.
        step: steps taken.
        random_state: torch's state before the forward pass of the step.
    """

    model: nn.Module
    generator: torch.Generator
    parameters: list[nn.Parameter]
    retain_velocity: list[Tensor]
    forget_velocity: list[Tensor]
    learned_steps: list[nn.Parameter]
    original_codes: list[Tensor]
    restraint: Restraint | None = None
    step: int = 0
    random_state: Tensor | None = None

    def remember_random_state_(self) -> None:
        """Keep torch's random state on the processor, so that a measurement can draw the same dropout as the step."""
        self.random_state = torch.get_rng_state()

    @classmethod
    def start(
        cls, model: nn.Module, *, frozen_grid: bool, run: Run, mask: Mask | None = None
    ) -> PairedDescent:
        """The state before the first step. With a frozen grid, learned steps and batch norm's parameters do not move.

        Raises:
            ModelError: when the mask does not fit the network.
        """
        grid = (
            {id(parameter) for parameter in (*learned_steps(model), *_scales_and_shifts(model))}
            if frozen_grid
            else set()
        )
        parameters = [
            parameter
            for parameter in model.parameters()
            if parameter.requires_grad and id(parameter) not in grid
        ]
        return cls(
            model=model,
            generator=run.generator(purpose=1),
            parameters=parameters,
            retain_velocity=[torch.zeros_like(parameter) for parameter in parameters],
            forget_velocity=[torch.zeros_like(parameter) for parameter in parameters],
            learned_steps=[] if frozen_grid else learned_steps(model),
            original_codes=_codes(model),
            restraint=None if mask is None else Restraint.of(model, mask),
        )

    def accelerate_(self, velocity: list[Tensor], gradient: list[Tensor], momentum: float) -> None:
        """Apply velocity <- momentum * velocity + gradient."""
        torch._foreach_mul_(velocity, momentum)
        torch._foreach_add_(velocity, gradient)

    def decay_(self, weight_decay: float) -> None:
        """Add the weights' decay to the retain velocity, where decay applies."""
        pairs = [
            (velocity, parameter.detach())
            for velocity, parameter in zip(self.retain_velocity, self.parameters, strict=True)
            if is_decayed(parameter)
        ]
        # v <- v + weight_decay * theta, the gradient of weight_decay / 2 * ||theta||^2
        if pairs and weight_decay:
            torch._foreach_add_([pair[0] for pair in pairs], [pair[1] for pair in pairs], alpha=weight_decay)

    def move_(self, direction: list[Tensor], rate: float) -> None:
        """Apply theta <- theta - rate * direction."""
        torch._foreach_add_([parameter.detach() for parameter in self.parameters], direction, alpha=-rate)
        if self.restraint is not None:
            self.restraint.restore_()

    def normalise_by_batch(self, by_batch: bool) -> None:
        """Let batch norm use the batch's statistics and follow them, or use the running ones unchanged."""
        for norm in _norms(self.model):
            norm.train(by_batch)

    @contextmanager
    def statistics_kept(self, by_batch: bool) -> Iterator[None]:
        """For a measurement in the given mode: running statistics and the processor's random state stay as they were.

        An accelerator's random state, which dropout there uses, moves on.
        """
        # A forward pass in training mode would count this batch a second time in the running statistics.
        before = [[buffer.clone() for buffer in norm.buffers()] for norm in _norms(self.model)]
        self.normalise_by_batch(by_batch)
        try:
            with torch.random.fork_rng(devices=[]):
                if self.random_state is not None:
                    torch.set_rng_state(self.random_state)
                yield
        finally:
            for norm, buffers in zip(_norms(self.model), before, strict=True):
                for buffer, kept in zip(norm.buffers(), buffers, strict=True):
                    buffer.copy_(kept)

    def changed_codes(self) -> float:
        """The share of integer weight codes, 0 to 1, that differ from the start; 0 for a float network."""
        total = sum(codes.numel() for codes in self.original_codes)
        now = _codes(self.model)
        changed = sum(int((a != b).sum()) for a, b in zip(now, self.original_codes, strict=True))
        return changed / max(1, total)


def _codes(model: nn.Module) -> list[Tensor]:
    return [weight_codes(layer) for layer in weighted_layers(model).values()]


def _norms(model: nn.Module) -> list[_BatchNorm]:
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


def _scales_and_shifts(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for norm in _norms(model) for parameter in norm.parameters()]
