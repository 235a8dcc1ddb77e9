"""Losses that teach random labels on the forget set together with the true labels of the retain set."""

from collections.abc import Iterator
from itertools import islice
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor, nn

from obliq.data import Examples, Splits
from obliq.data.batches import batches, numbered_cycle
from obliq.errors import ModelError
from obliq.run import Run
from obliq.training.descent import EpochLosses, set_batch_norm_mode
from obliq.training.loop import steps_per_epoch

PassOrder = Literal["sequential", "mixed"]
BatchNormMode = Literal["frozen", "retain", "all"]


def require_form(form: PassOrder, batch_norm: BatchNormMode) -> None:
    """Raise for statistics that follow the retain half of a mixed batch.

    Raises:
        ModelError: for that combination.
    """
    if form == "mixed" and batch_norm == "retain":
        raise ModelError(
            "batch_norm='retain' with form='mixed', whose batches hold both sets; expected frozen or all"
        )


def random_labels(count: int, classes: int, generator: torch.Generator) -> Int[Tensor, " samples"]:
    """Labels drawn uniformly from all classes; a sample can get its own."""
    return torch.randint(0, classes, (count,), generator=generator)


def relabelled_steps(splits: Splits, *, form: PassOrder, batch_size: int) -> int:
    """How many steps an epoch of `relabelled_losses` has."""
    forget, retain = len(splits.forget), len(splits.retain)
    if form == "mixed":
        return steps_per_epoch(forget + retain, batch_size)
    return steps_per_epoch(forget, batch_size) + steps_per_epoch(retain, batch_size)


def relabelled_losses(
    network: nn.Module,
    splits: Splits,
    *,
    form: PassOrder,
    batch_size: int,
    batch_norm: BatchNormMode,
    augment: bool,
    run: Run,
) -> EpochLosses:
    """Cross-entropy to random labels on the forget set and to the true ones on the retain set.

    Args:
        network: in training mode.
        splits: forget and retain sets are read.
        form: `sequential`, a pass over the forget set with labels drawn for each batch, then one over the retain
            set; or `mixed`, one shuffled pass over both with labels drawn once an epoch.
        batch_size: samples a step.
        batch_norm: the batches that its statistics follow.
        augment: random crops and flips.
        run: device, and the seed of order and labels.
    """
    order, draws = run.generator(purpose=1), run.generator(purpose=5)
    classes = splits.retain.collection.classes

    def sequential(epoch: int) -> Iterator[Tensor]:
        for inputs, labels in batches(splits.forget, batch_size, order, run.device, augment):
            drawn = random_labels(len(labels), classes, draws).to(run.device)
            set_batch_norm_mode(network, batch_norm, "forget", len(labels))
            yield F.cross_entropy(network(inputs), drawn)
        for inputs, labels in batches(splits.retain, batch_size, order, run.device, augment):
            set_batch_norm_mode(network, batch_norm, "retain", len(labels))
            yield F.cross_entropy(network(inputs), labels)

    if form == "sequential":
        return sequential
    both = Examples(splits.retain.collection, torch.cat([splits.forget.indices, splits.retain.indices]))
    stream = numbered_cycle(both, batch_size, order, run.device, augment)

    def mixed(epoch: int) -> Iterator[Tensor]:
        drawn = torch.cat([random_labels(len(splits.forget), classes, draws), splits.retain.labels])
        for inputs, _, positions in islice(stream, steps_per_epoch(len(both), batch_size)):
            set_batch_norm_mode(network, batch_norm, "forget", len(positions))
            yield F.cross_entropy(network(inputs), drawn[positions].to(run.device))

    return mixed
