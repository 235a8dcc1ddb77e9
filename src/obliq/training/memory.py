"""The memory that a step of training takes, estimated from a few samples before anything long begins."""

import contextlib
import copy
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from obliq.data import Examples
from obliq.errors import ModelError
from obliq.quantization import activations, calibrate_steps

SPARE = 1.1
"""Factor on what is kept for the backward pass, for its own results: 0.6 to 1.3 were measured on built-in networks."""

COPIES = 4
"""Of each parameter: the network, its original, gradients and momentum."""

SAMPLES = 2
"""With a single one, batch norm cannot normalise."""


@dataclass(frozen=True, kw_only=True)
class StepMemory:
    """Bytes that training takes.

    Attributes:
        by_sample: for each sample of a batch.
        fixed: whatever the batch.
    """

    by_sample: float
    fixed: float

    def of(self, batch_size: int) -> float:
        """Bytes of a step."""
        return self.fixed + self.by_sample * batch_size

    def largest_batch(self, available: float) -> int:
        """The largest power of 2 that fits; 0 for none."""
        fitting = int(max(0.0, available - self.fixed) / self.by_sample)
        return 2 ** (fitting.bit_length() - 1) if fitting else 0


def rehearse(model: nn.Module, examples: Examples) -> tuple[nn.Module, StepMemory] | None:
    """Run a copy of a network forward in training mode, and count what a backward pass keeps of two and of four.

    Returns:
        The copy, with calibrated steps, and the memory; None for fewer than two samples.
    """
    if len(examples) < SAMPLES:
        return None
    inputs = examples.collection.fetch(examples.indices[: 2 * SAMPLES])
    few = inputs[:SAMPLES].clone()  # of the storage of two samples
    rehearsed = copy.deepcopy(model).cpu().train()
    own = [*rehearsed.parameters(), *rehearsed.buffers()]
    with torch.random.fork_rng(devices=[]):
        if not all(bool(quantizer.calibrated) for quantizer in activations(rehearsed).values()):
            calibrate_steps(rehearsed, few)
        kept = _bytes_kept(rehearsed, few)
        more = _bytes_kept(rehearsed, inputs) if len(inputs) > SAMPLES else kept
    # What does not grow with the batch, such as rounded weights, is kept once.
    growth = (more - kept) / (len(inputs) - SAMPLES) if len(inputs) > SAMPLES else kept / SAMPLES
    constant = max(0.0, kept - SAMPLES * growth)
    return rehearsed, StepMemory(
        by_sample=max(1.0, SPARE * growth),
        fixed=float(COPIES * sum(one.nbytes for one in own)) + SPARE * constant,
    )


def _bytes_kept(network: nn.Module, inputs: Tensor) -> int:
    """Bytes that a forward pass keeps for the backward pass, beside parameters and buffers."""
    own = {one.data_ptr() for one in (*network.parameters(), *network.buffers())}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = network(inputs)  # held until all is counted: freed storage would be counted again
    found = sum(size for place, size in kept.items() if place not in own)
    del result
    return found


def require_memory(
    memory: StepMemory,
    examples: Examples,
    batch_size: int,
    device: torch.device,
    option: str = "--batch-size",
) -> None:
    """Raise where a step does not fit into the memory that is free now; `option` sets its number of samples.

    Raises:
        ModelError: with the batch that fits.
    """
    available = available_memory(device)
    largest = min(batch_size, len(examples))
    if available is None or memory.of(largest) <= available:
        return
    fitting = memory.largest_batch(available)
    shape = " x ".join(map(str, examples.collection.sample_shape))
    remedy = f"{option} {fitting}" if fitting >= SAMPLES else "a smaller network or smaller samples"
    raise ModelError(
        f"a step on {largest:,} samples of {shape} takes about {memory.of(largest) / 2**30:.1f} GiB of memory, and "
        f"{available / 2**30:.1f} GiB are free; expected {remedy}, or smaller samples (for folders ,image-size=64)"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch is about memory, on an accelerator or on the processor."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def available_memory(device: torch.device) -> int | None:
    """Bytes that are free on a device; None where this is not known."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type != "cpu":
        return None
    found = [size for size in (_free_in_system(), _free_in_group()) if size is not None]
    return min(found, default=None)


def _free_in_system() -> int | None:
    with contextlib.suppress(OSError):
        match = re.search(r"^MemAvailable: +(\d+) kB$", Path("/proc/meminfo").read_text(), flags=re.MULTILINE)
        return int(match[1]) * 1024 if match else None
    return None


def _free_in_group() -> int | None:
    """What a container may still take (Linux control groups, version 2)."""
    group = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError, ValueError):
        most, taken = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
        match = re.search(r"^inactive_file (\d+)$", (group / "memory.stat").read_text(), flags=re.MULTILINE)
        return most - taken + (int(match[1]) if match else 0)  # cached files give way
    return None
