"""The optional library behind ExecuTorch, imported when it is needed, and a program that runs in it."""

import importlib
import importlib.metadata
import logging
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
    """A module of the `executorch` package, without what its imports log about parts that we do not use.

    Raises:
        ModelError: when it is not installed.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        return importlib.import_module(f"executorch.{module}")
    except ImportError as error:
        raise ModelError(
            f"executorch is not installed ({error}); expected the extra: pip install 'obliq[executorch]'"
        ) from error
    finally:
        logging.disable(before)


def is_program(file: bytes) -> bool:
    """Whether a file's bytes say that they are an ExecuTorch program."""
    return file[4:6] == b"ET"


def version() -> str:
    """The runtime's.

    Raises:
        ModelError: when it is not installed.
    """
    import_executorch("runtime")
    return importlib.metadata.version("executorch")


def loaded(program: bytes, *, threads: int = 1) -> Run:
    """A program that `to_executorch` made, ready to run one sample after the other.

    The runtime trusts what it loads: give it bytes of our own exporter's making only.

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
        raise ModelError(f"ExecuTorch does not load the program ({error}); expected it to") from error

    def run(samples: ndarray) -> list[ndarray]:
        _ = opened, program  # the method reads from both
        made: list[list[Tensor]] = [
            [result.clone() for result in method.execute([sample[None].contiguous()])]
            for sample in torch.from_numpy(samples)
        ]
        return [torch.cat(rows).numpy() for rows in zip(*made, strict=True)]

    return run
