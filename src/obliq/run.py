"""Where and how a computation runs: an explicit value, never global state."""

import ctypes
import itertools
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from obliq.argument_types import require_field_types
from obliq.errors import ObliqError

TRIM_THRESHOLD, MAP_THRESHOLD, LARGEST = -1, -3, 2**30
"""Keys and value of glibc's mallopt: how much free memory it keeps, and above which size it maps memory each time."""


def keep_memory() -> bool:
    """Let the C library keep freed memory (glibc only).

    By default glibc returns memory to the system after each pass, and the next pass maps it again, page by page. On the
    processor this costs a few percent of a training step, and ten percent of a step of orthogonal entropy unlearning,
    which computes two gradients (benchmarks/results/step_cost.md). The peak size of the process stays the same.

    Returns:
        Whether the setting took effect.
    """
    try:
        allocator = ctypes.CDLL(None)
        kept = allocator.mallopt(TRIM_THRESHOLD, LARGEST), allocator.mallopt(MAP_THRESHOLD, LARGEST)
        return all(kept)
    except (AttributeError, OSError, TypeError):  # another C library; Windows has none of this name
        return False


def utc_now() -> datetime:
    """The time in UTC, to the second; that of SOURCE_DATE_EPOCH where it is set, for results equal byte for byte.

    Source: the reproducible-builds project's specification of SOURCE_DATE_EPOCH.

    Raises:
        ObliqError: when SOURCE_DATE_EPOCH is no time.
    """
    fixed = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        return datetime.fromtimestamp(int(fixed or time.time()), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise ObliqError(f"SOURCE_DATE_EPOCH is {fixed!r}; expected whole seconds since 1970") from error


@runtime_checkable
class Listener(Protocol):
    """A function that receives the progress of a computation, for a progress bar or a record."""

    def __call__(self, stage: str, step: int, of: int, values: Mapping[str, float]) -> None:
        """Receive that `step` of `of` steps of `stage` are done, with the values measured there."""


def silent(stage: str, step: int, of: int, values: Mapping[str, float]) -> None:
    """Ignore all progress."""


@dataclass(frozen=True)
class TrainingsFolder:
    """A folder for the state of unfinished trainings.

    Attributes:
        folder: it is created with the first file.
        key: of the names and of the content of its files. Without it nobody can tell which samples a training reads,
            and a file that was altered is not used.
    """

    folder: Path
    key: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Run:
    """Seed, device and listener of one computation.

    `seed` decides every random draw: on a processor, two runs with equal seeds, inputs and thread counts
    give the same integers; on an accelerator this is not promised. `autocast` runs convolutions in bfloat16
    on devices that profit from it. `compile` lets `obliq.training.loop.fit` run through torch.compile, which pays in
    long trainings only, see `obliq.training.loop`. `trainings` is where `fit` keeps the state of long trainings, so
    that the same training goes on after its process was killed; None for no such place.
    """

    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    autocast: bool = False
    compile: bool = False
    listen: Listener = silent
    trainings: TrainingsFolder | None = None

    def __post_init__(self) -> None:
        require_field_types(self)
        if not 0 <= self.seed < 2**32:
            raise ObliqError(f"seed {self.seed}; expected 0 to {2**32 - 1}")

    def generator(self, purpose: int = 0) -> torch.Generator:
        """A fresh random generator; different purposes of one run draw independent streams."""
        return torch.Generator().manual_seed(self.seed * 1_000_003 + purpose)


TraceRow = dict[str, str | float]


@dataclass
class Trace:
    """A listener that keeps what was measured, as rows that can be stored and drawn."""

    rows: list[TraceRow] = field(default_factory=list)

    def __call__(self, stage: str, step: int, of: int, values: Mapping[str, float]) -> None:
        """Keep a row where something was measured."""
        if values:
            self.rows.append({"stage": stage, "step": step, "of": of, **values})


def together(*listeners: Listener) -> Listener:
    """One listener that passes everything on to several."""

    def listen(stage: str, step: int, of: int, values: Mapping[str, float]) -> None:
        for listener in listeners:
            listener(stage, step, of, values)

    return listen


def device_named(name: str) -> torch.device:
    """The device for `auto` (an accelerator where there is one), `cpu` or `cuda`.

    Raises:
        ObliqError: for another name, or `cuda` where there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise ObliqError(f"device '{name}'; expected auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ObliqError("device 'cuda', but torch finds no CUDA device here; expected cpu or auto")
    return torch.device(name)


def device_of(model: nn.Module) -> torch.device:
    """Where a network's first tensor is; the processor for a network without tensors."""
    first = next(itertools.chain(model.parameters(), model.buffers()), None)
    return torch.device("cpu") if first is None else first.device
