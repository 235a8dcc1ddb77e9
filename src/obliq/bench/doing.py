"""A task done: what it needs is read from the store, what comes out is put there."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from obliq import checkpoints
from obliq.bench import signal_files
from obliq.bench.measuring import measured
from obliq.bench.memory import Watched, watched
from obliq.bench.tasks import Measured, Network, Original, Reference, Retrained, Task, Unlearned
from obliq.bench.workshop import NETWORK, Workshop
from obliq.checkpoints import Saved
from obliq.erase import forget, make_original
from obliq.methods import Retrain
from obliq.quantization import changed_codes, weighted_layers, weights_digest
from obliq.references import reference_halves, train_reference
from obliq.request_file import Request

AGAIN = 100_003
"""Added to the seed of a second retrained network; far from any seed that a suite would list."""


def do(task: Task, workshop: Workshop) -> None:
    """Compute a task whose needs are in the store, and keep the result.

    Raises:
        ObliqError: when it cannot be computed.
    """
    match task:
        case Original():
            _original(task, workshop)
        case Reference():
            _reference(task, workshop)
        case Retrained() | Unlearned():
            _forgotten(task, workshop)
        case Measured():
            _measured(task, workshop)


def _original(task: Original, workshop: Workshop) -> None:
    parts, world, run = workshop.parts(task.ground), task.ground.world, workshop.run(task.ground.seed)
    made = watched(
        lambda: make_original(parts, world.blueprint(parts.collection), world.recipe, run), run.device
    )
    saved = made.value.saved
    _keep(task, workshop, saved.model, _cost(made, saved.provenance.seconds), saved)


def _reference(task: Reference, workshop: Workshop) -> None:
    parts, world, run = workshop.parts(task.ground), task.ground.world, workshop.run(task.ground.seed)
    half = reference_halves(parts.train, task.count, task.ground.seed)[task.number]
    network = world.blueprint(parts.collection).build()
    started = time.perf_counter()
    made = watched(lambda: train_reference(network, half, world.recipe, run, task.number), run.device)
    _keep(task, workshop, made.value, _cost(made, time.perf_counter() - started))


def _forgotten(task: Retrained | Unlearned, workshop: Workshop) -> None:
    case = task.case
    splits, original = workshop.splits(case), workshop.saved(case.original)
    request = Request.of(splits, case.scenario.words)
    again = isinstance(task, Retrained) and task.again
    method = task.method if isinstance(task, Unlearned) else Retrain(recipe=case.ground.world.recipe)
    run = workshop.run(case.ground.seed + (AGAIN if again else 0))
    made = watched(lambda: forget(original, splits, request, method, run), run.device)
    saved = made.value.saved
    values = _cost(made, saved.provenance.seconds)
    values |= {"train": len(splits.partition.train), "forget": len(splits.forget)}
    if isinstance(task, Unlearned):
        values |= _changes(original.model, saved.model)
    _keep(task, workshop, saved.model, values)


def _measured(task: Measured, workshop: Workshop) -> None:
    splits = workshop.splits(task.case)
    roles = signal_files.in_roles(workshop.answers(task.of), splits.partition.train, splits.forget.indices)
    references = workshop.references(task.case, splits.forget)
    workshop.store.put(workshop.keys.made_by(task), measured(roles, splits.forgotten_classes, references))


def _keep(
    task: Network | Reference, workshop: Workshop, model: nn.Module, values: Mapping[str, Any],
    saved: Saved | None = None,
) -> None:  # fmt: skip
    """Store numbers and answers of a network, and its weights where methods start from them."""
    device = workshop.run(0).device
    answers = signal_files.ask(model.to(device), workshop.asked(task.ground), device)
    model.cpu()

    def write(draft: Path) -> None:
        signal_files.write(draft, answers)
        if saved is not None:
            (draft / NETWORK).mkdir()
            checkpoints.write(draft / NETWORK, saved)

    digest = {"weights_digest": weights_digest(model)}
    workshop.store.put(workshop.keys.made_by(task), digest | dict(values), write)


def _cost(made: Watched[Any], seconds: float) -> dict[str, Any]:
    return {"seconds": seconds, "memory_increase_mb": made.memory_increase_mb}


def _changes(before: nn.Module, after: nn.Module) -> dict[str, Any]:
    """How many integer weight codes differ; nothing to tell about float networks."""
    layers = weighted_layers(before)
    if not layers:
        return {}
    share = changed_codes(before, after)
    codes = sum(layer.weight.numel() for layer in layers.values())
    return {"changed_codes": round(share * codes), "changed_codes_percent": 100 * share}
