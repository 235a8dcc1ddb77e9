"""A task done: what it needs is read from the store, what comes out is put there."""

import ctypes
import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from obliq.auditing import ReferenceSignals
from obliq.auditing.metrics import Evidence, measure_alone, metrics_in
from obliq.auditing.reference_models import reference_halves, train_reference_network
from obliq.auditing.signals import RoleSignals
from obliq.benchmark import worker_state
from obliq.benchmark.tasks import Measured, Network, Original, Reference, Retrained, Task, Unlearned
from obliq.benchmark.worker_state import NETWORK, Workshop
from obliq.checkpoints import Checkpoint, write_checkpoint
from obliq.data.request_file import Request
from obliq.methods import Retrain
from obliq.quantization import changed_codes, weighted_layers, weights_digest
from obliq.workflow.pipeline import train_original, unlearn_original

Value = TypeVar("Value")
RESET, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


@dataclass(frozen=True)
class Watched(Generic[Value]):
    """A result, and by how many MB (10^6 bytes) memory rose above its start; None where the system does not tell."""

    value: Value
    memory_increase_mb: float | None


def watched(compute: Callable[[], Value], device: torch.device) -> Watched[Value]:
    """Compute, and note by how much this process' resident memory rose at most (on CUDA: allocated by torch).

    What earlier computations used and nobody needs any more is given back first: a worker that does the same
    thing twice would otherwise find everything there, and the second time would seem to take nothing.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        value = compute()
        return Watched(value, (torch.cuda.max_memory_allocated(device) - before) / 1e6)
    _give_back()
    start = _resident("VmRSS") if _reset() else None
    value = compute()
    peak = _resident("VmHWM")
    return Watched(value, None if start is None or peak is None else max(0.0, peak - start))


def _give_back() -> None:
    """Return the allocator's stock to the system, where the C library can (glibc)."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):  # another C library; on Windows there is none by this name
        return


def _reset() -> bool:
    try:
        RESET.write_text("5")  # Linux: the high-water mark begins anew at what is resident now
    except OSError:
        return False
    return True


def _resident(name: str) -> float | None:
    """A line of the process' status, in MB."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{name}:")), None)


def measured(
    answers: RoleSignals, forgotten_classes: frozenset[int], references: ReferenceSignals | None
) -> dict[str, Any]:
    """The numbers of one network by the name of their metric, as far as its answers alone give them."""
    evidence = Evidence(answers=answers, forgotten_classes=forgotten_classes, references=references)
    found = measure_alone(evidence)
    return {
        metric.name: found[metric.name].value for metric in metrics_in("benchmark") if metric.name in found
    }


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
        lambda: train_original(parts, world.blueprint(parts.collection), world.recipe, run), run.device
    )
    saved = made.value.checkpoint
    _keep(task, workshop, saved.model, _cost(made, saved.provenance.seconds), saved)


def _reference(task: Reference, workshop: Workshop) -> None:
    parts, world, run = workshop.parts(task.ground), task.ground.world, workshop.run(task.ground.seed)
    half = reference_halves(parts.train, task.count, task.ground.seed)[task.number]
    network = world.blueprint(parts.collection).build()
    started = time.perf_counter()
    made = watched(lambda: train_reference_network(network, half, world.recipe, run, task.number), run.device)
    _keep(task, workshop, made.value, _cost(made, time.perf_counter() - started))


def _forgotten(task: Retrained | Unlearned, workshop: Workshop) -> None:
    case = task.case
    splits, original = workshop.splits(case), workshop.saved(case.original)
    request = Request.of(splits, case.scenario.words)
    again = isinstance(task, Retrained) and task.again
    method = task.method if isinstance(task, Unlearned) else Retrain(recipe=case.ground.world.recipe)
    run = workshop.run(case.ground.seed + (AGAIN if again else 0))
    made = watched(lambda: unlearn_original(original, splits, request, method, run), run.device)
    saved = made.value.checkpoint
    values = _cost(made, saved.provenance.seconds)
    values |= {"train": len(splits.partition.train), "forget": len(splits.forget)}
    if isinstance(task, Unlearned):
        values |= _changes(original.model, saved.model)
    _keep(task, workshop, saved.model, values)


def _measured(task: Measured, workshop: Workshop) -> None:
    splits = workshop.splits(task.case)
    roles = worker_state.in_roles(workshop.answers(task.of), splits.partition.train, splits.forget.indices)
    references = workshop.references(task.case, splits.forget)
    workshop.store.put(workshop.keys.made_by(task), measured(roles, splits.forgotten_classes, references))


def _keep(
    task: Network | Reference, workshop: Workshop, model: nn.Module, values: Mapping[str, Any],
    saved: Checkpoint | None = None,
) -> None:  # fmt: skip
    """Store numbers and answers of a network, and its weights where methods start from them."""
    device = workshop.run(0).device
    answers = worker_state.signals_of(model.to(device), workshop.asked(task.ground), device)
    model.cpu()

    def write(draft: Path) -> None:
        worker_state.write_signals(draft, answers)
        if saved is not None:
            (draft / NETWORK).mkdir()
            write_checkpoint(draft / NETWORK, saved)

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
