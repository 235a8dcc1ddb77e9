"""The optional library behind ExecuTorch, imported when it is needed, and a program that runs in it."""

import importlib
import importlib.metadata
import logging
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float32
from numpy import ndarray
from torch import Tensor

from obliq.errors import ModelError


def import_onnx() -> ModuleType:
    """The `onnx` package.

    Raises:
        ModelError: when it is not installed.
    """
    return _imported("onnx")


def import_onnxruntime() -> ModuleType:
    """The `onnxruntime` package.

    Raises:
        ModelError: when it is not installed.
    """
    return _imported("onnxruntime")


def session(
    model: bytes,
    *,
    optimised: bool = True,
    threads: int = 1,
    write_to: str | None = None,
    silent: bool = False,
) -> Any:
    """An ONNX Runtime session on the processor whose answers do not depend on its generation or load.

    On x86 without VNNI, ONNX Runtime's kernels add pairs of products of bytes in 16 bits, which
    saturate for 8-bit weights and activations unless `session.x64quantprecision` is set. It is here,
    and whoever runs an exported file on such a machine must set it too.

    Args:
        model: a file's bytes.
        optimised: whether ONNX Runtime may fuse operations.
        threads: how many it may use.
        write_to: where it shall write the graph that it made of the model.
        silent: whether its own errors, which are raised anyway, stay out of the standard error stream.

    Raises:
        ModelError: when onnxruntime is not installed.
    """
    runtime = import_onnxruntime()
    options = runtime.SessionOptions()
    levels = runtime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4 if silent else 3
    options.add_session_config_entry("session.x64quantprecision", "1")
    if write_to is not None:
        options.optimized_model_filepath = write_to
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def foreign_session(model: bytes, *, threads: int = 1) -> Any:
    """The same for a file of another quantizer, which ONNX Runtime may not be able to fuse.

    Release 1.32 stops at graphs whose layers share one constant of zero points, as torch.onnx writes them, when
    it is to turn int8 weights into bytes for processors without VNNI; they run as they are written then.

    Raises:
        ModelError: when it does not open the file in any way.
    """
    try:
        return session(model, threads=threads, silent=True)
    except ModelError:
        raise
    except Exception:  # ONNX Runtime has no error of its own that all of these are
        try:
            return session(model, optimised=False, threads=threads, silent=True)
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise ModelError(
                f"ONNX Runtime does not open the file: {reason}; expected one that runs"
            ) from error


def operators(model: bytes) -> Sequence[str]:
    """The operator of every node of a file, in its order."""
    return [node.op_type for node in import_onnx().load_model_from_string(model).graph.node]


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ModelError(
            f"{name} is not installed ({error}); expected the extra onnx: pip install '.[onnx]' in a checkout of obliq"
        ) from error


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
            f"executorch is not installed ({error}); expected the extra executorch: "
            "pip install '.[executorch]' in a checkout of obliq"
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
