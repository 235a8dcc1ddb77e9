"""The optional libraries behind the formats, imported when they are needed."""

import importlib
import logging
from types import ModuleType

from obliq.errors import ModelError


def import_onnx() -> ModuleType:
    """The `onnx` package.

    Raises:
        ModelError: when it is not installed.
    """
    return _import("onnx", "onnx")


def import_onnxruntime() -> ModuleType:
    """The `onnxruntime` package.

    Raises:
        ModelError: when it is not installed.
    """
    return _import("onnxruntime", "onnx")


def import_executorch(module: str) -> ModuleType:
    """A module of the `executorch` package, without what its imports log about parts that we do not use.

    Raises:
        ModelError: when it is not installed.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        return _import(f"executorch.{module}", "executorch")
    finally:
        logging.disable(before)


def _import(name: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.split(".")[0]
        raise ModelError(
            f"{package} is not installed ({error}); expected the extra {extra}: pip install '.[{extra}]' in a checkout "
            "of obliq"
        ) from error
