"""How much memory a computation took at most."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch

Value = TypeVar("Value")
RESET, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


@dataclass(frozen=True)
class Watched(Generic[Value]):
    """A result, and the peak in MB (10^6 bytes); None where the system does not tell."""

    value: Value
    peak_memory_mb: float | None


def watched(compute: Callable[[], Value], device: torch.device) -> Watched[Value]:
    """Compute, and note the largest resident memory of this process meanwhile (on CUDA: allocated by torch)."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        value = compute()
        return Watched(value, torch.cuda.max_memory_allocated(device) / 1e6)
    can_reset = _reset()
    value = compute()
    return Watched(value, _peak() if can_reset else None)


def _reset() -> bool:
    try:
        RESET.write_text("5")  # Linux: the high-water mark begins anew at what is resident now
    except OSError:
        return False
    return True


def _peak() -> float | None:
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:")), None)
