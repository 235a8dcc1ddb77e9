"""The optional libraries behind ONNX, imported when they are needed, and a session that repeats itself."""

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any

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


def session(model: bytes, *, optimised: bool = True, threads: int = 1, write_to: str | None = None) -> Any:
    """An ONNX Runtime session on the processor whose answers do not depend on its generation or load.

    On x86 without VNNI, ONNX Runtime's kernels add pairs of products of bytes in 16 bits, which
    saturate for 8-bit weights and activations unless `session.x64quantprecision` is set. It is here,
    and whoever runs an exported file on such a machine must set it too.

    Args:
        model: a file's bytes.
        optimised: whether ONNX Runtime may fuse operations.
        threads: how many it may use.
        write_to: where it shall write the graph that it made of the model.

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
    options.log_severity_level = 3
    options.add_session_config_entry("session.x64quantprecision", "1")
    if write_to is not None:
        options.optimized_model_filepath = write_to
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def operators(model: bytes) -> Sequence[str]:
    """The operator of every node of a file, in its order."""
    return [node.op_type for node in import_onnx().load_model_from_string(model).graph.node]


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ModelError(
            f"{name} is not installed ({error}); expected the extra: pip install 'obliq[onnx]'"
        ) from error
