"""The optional library behind ExecuTorch, imported when it is needed, and a program that runs in it."""

import importlib
import importlib.metadata
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float32
from numpy import ndarray
from torch import Tensor

from obliq.errors import ModelError

Run = Callable[[Float32[ndarray, "samples ..."]], list[ndarray]]
"""From samples to each of a program's results, one row a sample."""


def import_executorch(module: str) -> ModuleType:
    """A module of the `executorch` package.

    Raises:
        ModelError: when it is not installed.
    """
    try:
        return importlib.import_module(f"executorch.{module}")
    except ImportError as error:
        raise ModelError(
            f"executorch is not installed ({error}); expected the extra: pip install 'obliq[executorch]'"
        ) from error


def version() -> str:
    """Name and version of the runtime."""
    import_executorch("runtime")
    return f"executorch {importlib.metadata.version('executorch')}"


def loaded(program: bytes) -> Run:
    """A program that `to_executorch` made, ready to run one sample after the other.

    The runtime trusts what it loads: give it files of your own making only.

    Raises:
        ModelError: when the extra `executorch` is missing or the runtime refuses the program.
    """
    runtime: Any = import_executorch("runtime").Runtime.get()
    try:
        opened = runtime.load_program(program)
        method = opened.load_method("forward")
    except RuntimeError as error:
        raise ModelError(f"ExecuTorch does not load the program ({error}); expected it to") from error

    def run(samples: ndarray) -> list[ndarray]:
        _ = opened, program  # the method reads from both
        made: list[list[Tensor]] = [
            [result.clone() for result in method.execute([sample[None].contiguous()])]
            for sample in torch.from_numpy(samples)
        ]
        return [torch.cat(rows).numpy() for rows in zip(*made, strict=True)]

    return run
