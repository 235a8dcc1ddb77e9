"""The descent of methods that differ in their loss alone, and the settings that they have in common."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from obliq.argument_types import is_real_number
from obliq.errors import ModelError
from obliq.quantization import keep_steps_near_, keep_steps_positive_, learned_steps
from obliq.run import Run
from obliq.training.loop import (
    cosine_schedule,
    mixed_precision,
    parameter_groups,
    require_at_least,
    require_computable,
    require_finite_weights,
)
from obliq.training.masks import Mask, Restraint
from obliq.training.step_losses import StepLosses

EpochLosses = Callable[[int], Iterator[Tensor]]
"""The losses of an epoch (from 1), one per step. Each is computed only after the step before it was taken."""

BatchRole = Literal["forget", "retain"]


def descend(
    model: nn.Module,
    losses: EpochLosses,
    *,
    epochs: int,
    total: int,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
    run: Run,
    mask: Mask | None = None,
    published: bool = False,
) -> None:
    """Descend on a sequence of losses, in place, and report the mean loss of each epoch to the run's listener.

    This is stochastic gradient descent with momentum. The rate falls to zero along half a cosine. Weight decay
    leaves learned steps, batch norm and biases alone. A learned step changes by at most a tenth in one update
    (`obliq.quantization.keep_steps_near_`).

    Args:
        model: on the run's device, in the mode in which it is to be trained.
        losses: what to descend on; evaluated in the run's precision.
        epochs: how often `losses` is called.
        total: the steps of all epochs together, for the rate.
        learning_rate: at the start.
        momentum: of the classical kind.
        weight_decay: on weights.
        run: device, precision and listener.
        mask: the entries of each parameter that may move; None for all.
        published: descend as the public code of Q-MUL does. The rate is lowered once an epoch, weight decay acts on
            every parameter, and learned steps have no limit but 0.

    Raises:
        ModelError: when a loss stops being finite, or the mask does not fit the network.
    """
    groups = parameter_groups(model, weight_decay)
    if published:
        groups = [{**group, "weight_decay": weight_decay} for group in groups]
    optimizer = torch.optim.SGD(groups, lr=learning_rate, momentum=momentum, foreach=True)
    grid = learned_steps(model)
    restraint = None if mask is None else Restraint.of(model, mask)
    rate = cosine_schedule(learning_rate, epochs if published else total)
    step = 0
    for epoch in range(1, epochs + 1):
        values = StepLosses(step, learning_rate, run.device)
        source = losses(epoch)
        while (loss := _next(source, run)) is not None:
            for group in optimizer.param_groups:
                group["lr"] = rate(epoch - 1 if published else step)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            # The optimizer changes steps in place, so the limit on their change needs a copy of them.
            before = [learned.detach().clone() for learned in grid]
            optimizer.step()
            if published:
                keep_steps_positive_(grid)
            else:
                keep_steps_near_(grid, before)
            if restraint is not None:
                restraint.restore_()
            values.add(loss)
            step += 1
        read = values.read()
        require_finite_weights(model, learning_rate)
        # an epoch without a step, after a method has stopped, has no loss
        run.listen("unlearn", epoch, epochs, {"loss": sum(read) / len(read)} if read else {})


def _next(source: Iterator[Tensor], run: Run) -> Tensor | None:
    with mixed_precision(run):
        return next(source, None)


def loss_with_gradient(
    loss: Float[Tensor, ""], parameters: Sequence[Tensor], gradient: Sequence[Tensor]
) -> Float[Tensor, ""]:
    """A loss of the same value whose gradient is the given one, bit for bit."""
    # parameter - parameter.detach() is zero with derivative 1, so each product adds nothing but its slope
    zeros = [
        (slope * (parameter - parameter.detach())).sum()
        for slope, parameter in zip(gradient, parameters, strict=True)
    ]
    return loss.detach() + torch.stack(zeros).sum()


def set_batch_norm_mode(model: nn.Module, batch_norm: str, role: BatchRole, samples: int) -> None:
    """Let batch norm normalise by the coming batch and follow it, or use its running statistics unchanged.

    Args:
        model: changed in place.
        batch_norm: which batches to follow: `frozen` for none, `forget`, `retain`, or `all`.
        role: the role of the coming batch.
        samples: how many it has. A single sample, whose variance is not defined, is never followed.
    """
    by_batch = samples > 1 and batch_norm in (role, "all")
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.train(by_batch)


def require_above(least: float, **values: float) -> None:
    """Raise for the first value that is not above `least`, not a number, or too large to compute with.

    Raises:
        ModelError: naming the value.
    """
    for name, value in values.items():
        if not (is_real_number(value) and value > least):
            raise ModelError(f"{name}={value!r}; expected a number above {least}")
        require_computable(name, value)


def require_descent(*, learning_rate: float, momentum: float, weight_decay: float) -> None:
    """Raise for settings that `descend` cannot use.

    Raises:
        ModelError: naming the value.
    """
    require_above(0, learning_rate=learning_rate)
    require_at_least(0, momentum=momentum, weight_decay=weight_decay)
    if momentum >= 1:
        raise ModelError(f"momentum={momentum}; expected a number below 1")


def require_share(**values: float) -> None:
    """Raise for the first value that is not within 0 and 1.

    Raises:
        ModelError: naming the value.
    """
    for name, value in values.items():
        if not (is_real_number(value) and 0 <= value <= 1):
            raise ModelError(f"{name}={value!r}; expected a number from 0 to 1")
