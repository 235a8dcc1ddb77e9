"""ExecuTorch's own runtime on the processor."""

import importlib.metadata
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float32
from numpy import ndarray
from torch import Tensor

from obliq.errors import ModelError
from obliq.exporting.optional import import_executorch
from obliq.io.visible_text import reason_of

Program = Callable[[Float32[ndarray, "samples ..."]], list[ndarray]]
"""From samples to each of a program's results, one row a sample."""


def executorch_version() -> str:
    """The runtime's.

    Raises:
        ModelError: when it is not installed.
    """
    import_executorch("runtime")
    return importlib.metadata.version("executorch")


def load_program(program: bytes, *, threads: int = 1) -> Program:
    """A program that `to_executorch` wrote, ready to run one sample after the other.

    The runtime trusts what it loads: give it only bytes that our own exporter would write.

    Args:
        program: its bytes.
        threads: how many may compute; ExecuTorch has one pool of them for the whole process.

    Raises:
        ModelError: when the extra `executorch` is missing or the runtime refuses the program.
    """
    runtime: Any = import_executorch("runtime").Runtime.get()
    pool = import_executorch("extension.pybindings.portable_lib")
    if pool._threadpool_get_thread_count() != threads:
        pool._unsafe_reset_threadpool(threads)  # unsafe while something runs, and nothing does
    try:
        opened = runtime.load_program(program)
        method = opened.load_method("forward")
    except RuntimeError as error:
        raise ModelError(
            f"ExecuTorch does not load the program ({reason_of(error)}); expected it to"
        ) from error

    def run(samples: ndarray) -> list[ndarray]:
        _ = opened, program  # the method reads from both
        rows: list[list[Tensor]] = [
            [result.clone() for result in method.execute([sample[None].contiguous()])]
            for sample in torch.from_numpy(samples)
        ]
        return [torch.cat(row).numpy() for row in zip(*rows, strict=True)]

    return run
