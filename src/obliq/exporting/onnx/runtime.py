"""ONNX Runtime, with settings under which its answers do not depend on the processor."""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy import ndarray

from obliq.errors import ModelError
from obliq.exporting.optional import import_onnxruntime
from obliq.io.visible_text import reason_of


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
    saturate for 8-bit weights and activations unless `session.x64quantprecision` is set. It is set here.
    Anyone who runs an exported file on such a machine must set it too.

    Args:
        model: a file's bytes.
        optimised: whether ONNX Runtime may fuse operations.
        threads: how many it may use.
        write_to: a file for the graph that it turned the model into.
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
    # MatMul with weights of 8 bits would round its real inputs again, as they come in
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    if write_to is not None:
        options.optimized_model_filepath = write_to
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run_session(opened: Any, names: Sequence[str], inputs: Mapping[str, ndarray]) -> list[ndarray]:
    """The results of a session by name.

    Raises:
        ModelError: when the runtime stops at an operation, whatever it raises.
    """
    try:
        results: list[ndarray] = opened.run(names, inputs)
    except Exception as error:  # the runtime has a class of errors for each of its states
        reason = reason_of(error, 300)
        raise ModelError(f"ONNX Runtime does not run the file: {reason}; expected it to") from error
    return results


def onnx_runtime() -> str:
    """ONNX Runtime and its version."""
    return f"ONNX Runtime {import_onnxruntime().__version__}"
