"""How much memory a computation took beyond what its process held before."""

import ctypes
import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch

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
