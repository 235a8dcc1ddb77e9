"""Train a network by a recipe, and evaluate it; and the small parts that every training loop uses."""

from __future__ import annotations

import copy
import dataclasses
import math
import reprlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, ClassVar, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.argument_types import is_real_number, require_field_types
from obliq.data import Examples
from obliq.data.batches import batches
from obliq.errors import ModelError
from obliq.io.strict_json import OMITTED_BY_DEFAULT
from obliq.quantization import activations, calibrate_steps, keep_steps_near_, learned_steps
from obliq.run import Run
from obliq.training.compilation import forward_function
from obliq.training.continuation import KeptTraining
from obliq.training.logit_steps import LogitSteps, UnroundedLogits
from obliq.training.norm_statistics import NormStatistics, measure_norm_statistics_
from obliq.training.step_losses import StepLosses

FEWEST_STEPS_TO_FOLLOW = 100
"""In a shorter training, the step of the logits cannot follow them, and running averages of batch norm with the usual
momentum of 0.1 still hold activations of early weights."""

LARGEST_NUMBER, LARGEST_COUNT = torch.finfo(torch.float32).max, 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained: stochastic gradient descent with momentum and a cosine schedule.

    Attributes:
        epochs: Passes over the training samples.
        learning_rate: Peak learning rate. For mobilenetv2, `obliq train` uses 0.01 by default; higher ones failed in
            short trainings.
        warmup: Share of the steps over which the learning rate rises from zero.
        momentum: Momentum, without Nesterov's correction.
        weight_decay: Weight decay. It never applies to learned steps, batch norm or biases.
        batch_size: Samples per step.
        augment: Use random crops and flips, for natural images.
        norm_statistics: What batch norm uses after training: `running` averages over the last steps, or averages that
            are `measured` over the training samples with the final weights. By default, `obliq train` and
            `obliq.train` measure them when there are fewer than 100 steps, which are too few for running ones; other
            trainings use running ones.
        logit_steps: Which step the quantizer of the logits gets: one that is `learned` from the first batch on, or one
            that is `measured` over the training samples with the final weights; until then, logits are not rounded. By
            default as for `norm_statistics`.
        version: Version of training, from 1. Raise it when the same recipe and seed give another network.
    """

    version: ClassVar[int] = 1

    epochs: int = 20
    learning_rate: float = 0.05
    warmup: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_size: int = 128
    augment: bool = False
    norm_statistics: NormStatistics | None = field(default=None, metadata=OMITTED_BY_DEFAULT)
    logit_steps: LogitSteps | None = field(default=None, metadata=OMITTED_BY_DEFAULT)

    def __post_init__(self) -> None:
        require_field_types(self)
        require_at_least(1, epochs=self.epochs, batch_size=self.batch_size)
        require_at_least(0, momentum=self.momentum, weight_decay=self.weight_decay, warmup=self.warmup)
        if not self.learning_rate > 0:
            raise ModelError(f"learning_rate={self.learning_rate}; expected a number above 0")
        require_computable("learning_rate", self.learning_rate)
        if self.momentum >= 1 or self.warmup > 1:
            raise ModelError(
                f"momentum={self.momentum}, warmup={self.warmup}; expected below 1, and a share of at most 1"
            )
        if self.norm_statistics not in (None, *get_args(NormStatistics)):
            raise ModelError(f"norm_statistics={self.norm_statistics!r}; expected running, measured or None")
        if self.logit_steps not in (None, *get_args(LogitSteps)):
            raise ModelError(f"logit_steps={self.logit_steps!r}; expected learned, measured or None")

    def steps(self, samples: int) -> int:
        """How many steps a training on that many samples has."""
        return self.epochs * steps_per_epoch(samples, self.batch_size)

    def settled(self, samples: int) -> Recipe:
        """The recipe for that many training samples: if it is short, with measured statistics and logit steps."""
        if self.steps(samples) >= FEWEST_STEPS_TO_FOLLOW:
            return self
        return dataclasses.replace(
            self,
            norm_statistics=self.norm_statistics or "measured",
            logit_steps=self.logit_steps or "measured",
        )


def require_at_least(least: float, **values: float) -> None:
    """Raise for the first value that is below `least`, not a number, or too large to compute with.

    Raises:
        ModelError: naming the value.
    """
    for name, value in values.items():
        if not (is_real_number(value) and value >= least):
            raise ModelError(f"{name}={value!r}; expected a number of at least {least}")
        require_computable(name, value)


def require_computable(name: str, value: float) -> None:
    """Raise for a number that PyTorch cannot hold: as float32, or as a count.

    Raises:
        ModelError: naming the value.
    """
    largest = LARGEST_COUNT if isinstance(value, Integral) else LARGEST_NUMBER
    if not value <= largest:
        shown = reprlib.repr(value)
        raise ModelError(f"{name}={shown}; expected a number of at most {largest:g}")


def fit(model: nn.Module, examples: Examples, recipe: Recipe, run: Run) -> nn.Module:
    """Train a copy of `model`; activation steps that were never set are calibrated on the first batch.

    Raises:
        ModelError: when the loss stops being finite, or when torch cannot compile the network although the run
            requests it.
    """
    with seeded(run):
        return _train(copy.deepcopy(model), examples, recipe, run)


def _train(model: nn.Module, examples: Examples, recipe: Recipe, run: Run) -> nn.Module:
    model = move_to_device(model, run).train()
    generator = run.generator(purpose=1)
    unrounded = UnroundedLogits(model) if recipe.logit_steps == "measured" else None
    if not all(bool(quantizer.calibrated) for quantizer in activations(model).values()):
        inputs, _ = next(batches(examples, recipe.batch_size, run.generator(purpose=2), run.device))
        calibrate_steps(model, inputs)
    optimizer = torch.optim.SGD(
        parameter_groups(model, recipe.weight_decay),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        foreach=True,
    )
    grid = learned_steps(model)
    forward = forward_function(model, run, recipe.batch_size)
    length = steps_per_epoch(len(examples), recipe.batch_size)
    rate = cosine_schedule(recipe.learning_rate, recipe.epochs * length, recipe.warmup)
    kept = KeptTraining.begin(model, optimizer, generator, examples, recipe, recipe.epochs, run)
    for epoch, measured in enumerate(kept.rows, start=1):
        run.listen("train", epoch, recipe.epochs, measured)
    step = len(kept.rows) * length
    for epoch in range(len(kept.rows) + 1, recipe.epochs + 1):
        losses, counts = StepLosses(step, recipe.learning_rate, run.device), list[int]()
        right = torch.zeros((), dtype=torch.int64, device=run.device)
        for inputs, labels in batches(
            examples, recipe.batch_size, generator, run.device, augment=recipe.augment
        ):
            for group in optimizer.param_groups:
                group["lr"] = rate(step)
            with mixed_precision(run):
                logits = forward(inputs)
                loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            before = [learned.detach().clone() for learned in grid]
            optimizer.step()
            keep_steps_near_(grid, before)
            losses.add(loss)
            counts.append(len(labels))
            right += (logits.detach().argmax(dim=1) == labels).sum()
            step += 1
        total_loss = 0.0
        for value, count in zip(losses.read(), counts, strict=True):
            total_loss += value * count
        require_finite_weights(model, recipe.learning_rate)
        measured = {"loss": total_loss / len(examples), "accuracy": 100 * int(right) / len(examples)}
        kept.keep(measured)
        run.listen("train", epoch, recipe.epochs, measured)
    if recipe.norm_statistics == "measured":
        with mixed_precision(run):
            measure_norm_statistics_(model, examples, recipe.batch_size, run, augment=recipe.augment)
    if unrounded is not None:
        unrounded.measure_step_(examples, run.device)
    return model.eval()


def move_to_device(model: nn.Module, run: Run) -> nn.Module:
    """Move a network to the run's device, with weights in the memory layout in which convolutions are fastest."""
    # Not every release of torch lists `memory_format` alone among the signatures of `to`.
    moved: nn.Module = cast(Any, model.to(run.device)).to(memory_format=torch.channels_last)
    return moved


def steps_per_epoch(samples: int, batch_size: int) -> int:
    """How many batches a pass over the samples has; a last batch of one sample joins the one before."""
    short = samples % batch_size
    return max(1, samples // batch_size + (short > 1 or (short == 1 and batch_size == 1)))


def cosine_schedule(peak: float, total: int, warmup: float = 0.0) -> Callable[[int], float]:
    """The learning rate at a step: a linear rise over a share of the steps, then half a cosine to zero."""
    rising = math.ceil(warmup * total)

    def rate(step: int) -> float:
        if step < rising:
            return peak * (step + 1) / rising
        return peak * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, total - rising)))

    return rate


def is_decayed(parameter: Tensor) -> bool:
    """Whether weight decay applies: to weights, which have at least two axes, and not to steps, norms and biases."""
    return parameter.dim() >= 2


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """The parameters in two groups for an optimizer: those that weight decay shrinks, and the others.

    Frozen parameters (`requires_grad=False`) are in neither.

    Raises:
        ModelError: when every parameter is frozen.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise ModelError(
            "every parameter of the network is frozen (requires_grad=False); expected at least one to train"
        )
    return [
        {
            "params": [parameter for parameter in parameters if is_decayed(parameter)],
            "weight_decay": weight_decay,
        },
        {"params": [parameter for parameter in parameters if not is_decayed(parameter)], "weight_decay": 0.0},
    ]


def mixed_precision(run: Run) -> AbstractContextManager[object]:
    """bfloat16 for the operations that gain by it, when the run requests it."""
    return torch.autocast(run.device.type, dtype=torch.bfloat16, enabled=run.autocast)


@contextmanager
def seeded(run: Run) -> Iterator[None]:
    """Give torch's own random numbers (used by dropout) the run's seed, and restore their state afterwards."""
    devices = [run.device] if run.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(run.generator(purpose=3).initial_seed())
        yield


def require_finite_weights(model: nn.Module, learning_rate: float) -> None:
    """Raise when a parameter is NaN or infinite; the clamping in quantizers can hide this from the loss.

    Raises:
        ModelError: naming the parameter.
    """
    for name, parameter in model.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise ModelError(
                f"{name} became NaN or infinite with learning rate {learning_rate}; expected a lower rate"
            )
