"""Running a task: its needs are read from the cache, and its result is written there."""

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
from obliq.auditing.measured_values import measure_alone, metrics_in
from obliq.auditing.metric import Evidence
from obliq.auditing.reference_models import reference_halves, train_reference_network
from obliq.auditing.signals import RoleSignals
from obliq.benchmark.tasks import (
    AuditTask,
    NetworkTask,
    OriginalTask,
    ReferenceTask,
    RetrainedTask,
    Task,
    UnlearnedTask,
)
from obliq.benchmark.worker_state import (
    NETWORK,
    WorkerState,
    assign_roles,
    compute_part_signals,
    write_signals,
)
from obliq.checkpoints import Checkpoint, write_checkpoint
from obliq.data.request_file import Request
from obliq.errors import ModelError
from obliq.methods import Retrain
from obliq.quantization import changed_codes, weighted_layers, weights_digest
from obliq.workflow.pipeline import train_original, unlearn_original

Value = TypeVar("Value")
CLEAR_REFS, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


@dataclass(frozen=True)
class WithMemory(Generic[Value]):
    """A result, and the largest increase of memory meanwhile, in MB (10^6 bytes); None where it is unknown."""

    value: Value
    memory_increase_mb: float | None


def track_memory(compute: Callable[[], Value], device: torch.device) -> WithMemory[Value]:
    """Compute, and measure the peak of this process' resident memory above its start (on CUDA: of torch's memory).

    Memory that earlier computations have left with the allocator is returned to the system first. Otherwise a worker
    that does the same thing twice would need no new memory the second time.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        value = compute()
        return WithMemory(value, (torch.cuda.max_memory_allocated(device) - before) / 1e6)
    _trim_allocator()
    start = _status_line("VmRSS") if _reset_peak() else None
    value = compute()
    peak = _status_line("VmHWM")
    return WithMemory(value, None if start is None or peak is None else max(0.0, peak - start))


def _trim_allocator() -> None:
    """Return the allocator's free memory to the system, where the C library can (glibc)."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):  # another C library; on Windows there is none by this name
        return


def _reset_peak() -> bool:
    """Let the high-water mark of resident memory (VmHWM) start from the present value; Linux only."""
    try:
        CLEAR_REFS.write_text("5")
    except OSError:
        return False
    return True


def _status_line(name: str) -> float | None:
    """A line of the process' status (in KiB), in MB."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{name}:")), None)


def measure_network(
    answers: RoleSignals, forgotten_classes: frozenset[int], references: ReferenceSignals | None
) -> dict[str, Any]:
    """The numbers of one network by the name of their metric, as far as its answers alone give them."""
    evidence = Evidence(answers=answers, forgotten_classes=forgotten_classes, references=references)
    found = measure_alone(evidence)
    return {
        metric.name: found[metric.name].value for metric in metrics_in("benchmark") if metric.name in found
    }


class MethodError(ModelError):
    """An error of a method itself, which the same run of it would raise again, such as a loss that is not finite."""


RETRAINED_AGAIN_SEED = 100_003
"""Added to the seed for the second retrained network; far from any seed that a suite would list."""


def execute_task(task: Task, state: WorkerState) -> None:
    """Compute a task whose needs are in the cache, and put the result there.

    Raises:
        ObliqError: when it cannot be computed; a `MethodError` where that lies in the method.
    """
    match task:
        case OriginalTask():
            _train_original(task, state)
        case ReferenceTask():
            _train_reference(task, state)
        case RetrainedTask() | UnlearnedTask():
            _forget(task, state)
        case AuditTask():
            _audit(task, state)


def _train_original(task: OriginalTask, state: WorkerState) -> None:
    setup, run = task.experiment.setup, state.run(task.experiment.seed)
    parts = state.partition(task.experiment)
    blueprint = setup.blueprint(parts.collection)
    with state.unfinished(task) as unfinished:
        run = unfinished.run(run)
        trained = track_memory(lambda: train_original(parts, blueprint, setup.recipe, run), run.device)
        checkpoint = trained.value.checkpoint
        cost = _cost(trained, unfinished.earlier + checkpoint.provenance.seconds)
        _keep(task, state, checkpoint.model, cost, checkpoint)


def _train_reference(task: ReferenceTask, state: WorkerState) -> None:
    setup, run = task.experiment.setup, state.run(task.experiment.seed)
    parts = state.partition(task.experiment)
    half = reference_halves(parts.train, task.count, task.experiment.seed)[task.number]
    network = setup.blueprint(parts.collection).build()
    with state.unfinished(task) as unfinished:
        run, started = unfinished.run(run), time.perf_counter()
        trained = track_memory(
            lambda: train_reference_network(network, half, setup.recipe, run, task.number), run.device
        )
        seconds = unfinished.earlier + time.perf_counter() - started
        _keep(task, state, trained.value, _cost(trained, seconds))


def _forget(task: RetrainedTask | UnlearnedTask, state: WorkerState) -> None:
    problem = task.problem
    splits, original = state.splits(problem), state.original(problem.original)
    request = Request.of(splits, problem.scenario.text)
    again = isinstance(task, RetrainedTask) and task.again
    recipe = problem.experiment.setup.recipe
    method = task.method if isinstance(task, UnlearnedTask) else Retrain(recipe=recipe)
    run = state.run(problem.experiment.seed + (RETRAINED_AGAIN_SEED if again else 0))
    with state.unfinished(task) as unfinished:
        run = unfinished.run(run)
        try:
            result = track_memory(
                lambda: unlearn_original(original, splits, request, method, run), run.device
            )
        except BaseException as error:
            state.drop_original(problem.original)  # which the method may have changed
            if isinstance(task, UnlearnedTask) and isinstance(error, ModelError):
                raise MethodError(str(error)) from error
            raise
        checkpoint = result.value.checkpoint
        values = _cost(result, unfinished.earlier + checkpoint.provenance.seconds)
        values |= {"train": len(splits.partition.train), "forget": len(splits.forget)}
        if isinstance(task, UnlearnedTask):
            values |= _changes(original.model, checkpoint.model)
        _keep(task, state, checkpoint.model, values)


def _audit(task: AuditTask, state: WorkerState) -> None:
    splits = state.splits(task.problem)
    roles = assign_roles(state.answers(task.network), splits.partition.train, splits.forget.indices)
    references = state.references(task.problem, splits.forget)
    values = measure_network(roles, splits.forgotten_classes, references)
    state.cache.put(state.keys.inputs(task), values)


def _keep(
    task: NetworkTask | ReferenceTask,
    state: WorkerState,
    model: nn.Module,
    values: Mapping[str, Any],
    checkpoint: Checkpoint | None = None,
) -> None:
    """Put numbers and answers of a network into the cache, and the weights of an original, where methods start."""
    device = state.run(0).device
    answers = compute_part_signals(model.to(device), state.audited_examples(task.experiment), device)
    model.cpu()

    def write(draft: Path) -> None:
        write_signals(draft, answers)
        if checkpoint is not None:
            (draft / NETWORK).mkdir()
            write_checkpoint(draft / NETWORK, checkpoint)

    digest = {"weights_digest": weights_digest(model)}
    state.cache.put(state.keys.inputs(task), digest | dict(values), write)


def _cost(result: WithMemory[Any], seconds: float) -> dict[str, Any]:
    return {"seconds": seconds, "memory_increase_mb": result.memory_increase_mb}


def _changes(before: nn.Module, after: nn.Module) -> dict[str, Any]:
    """How many integer weight codes differ; empty for float networks, which have none."""
    layers = weighted_layers(before)
    if not layers:
        return {}
    share = changed_codes(before, after)
    codes = sum(layer.weight.numel() for layer in layers.values())
    return {"changed_codes": round(share * codes), "changed_codes_percent": 100 * share}
