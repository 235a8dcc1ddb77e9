"""A thousand altered files of each kind: refused with our error, or read as the usual library reads them."""

import time
from collections import Counter
from collections.abc import Callable, Iterator

import jaxtyping
import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from obliq.checkpoints.tensors import (
    state_from_tensors,
    state_to_tensors,
    tensor_forms,
    tensor_grids,
    tensors_from_bytes,
    tensors_to_bytes,
)
from obliq.errors import ObliqError
from obliq.exporting import ExportedFile, OwnFile, parse_exported
from obliq.quantization import float_state, integer_state
from tests.exporting.networks import made
from tests.hostile.mutations import altered, altered_header, altered_message
from tests.hostile.sample import onnx_file, quantizer_file

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")

EACH = 10
MANY = settings(
    max_examples=110,  # some alterations change nothing, and are not counted
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
CHOICES = st.binary(min_size=EACH * 32, max_size=EACH * 32).map(
    lambda data: [data[start : start + 32] for start in range(0, len(data), 32)]
)
"""Ten files an example: drawing examples would take longer than reading the files."""

LONGEST = 1.0


@pytest.fixture(autouse=True)
def _without_shape_checks() -> Iterator[None]:
    """As users run it: the checks of the tests would take most of the time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def message_of(read: Callable[[], object]) -> str:
    """The error in reading, or nothing; in no more than a second of this process, whatever the machine does."""
    started, message = time.process_time(), ""
    try:
        read()
    except ObliqError as error:
        message = str(error)
    assert time.process_time() - started < LONGEST
    assert message.isprintable()
    return message


def use(file: ExportedFile) -> None:
    """What patches and `obliq unlearn` do with a file that was read."""
    if isinstance(file, OwnFile):
        assert file.content
    assert all(torch.isfinite(one).all() for one in file.rebuild().state_dict().values())


def test_altered_onnx() -> None:
    good = onnx_file("compact")
    outcomes: Counter[str] = Counter()

    @MANY
    @given(CHOICES)
    def refused_or_equal(choices: list[bytes]) -> None:
        for data in choices:
            content = altered(good, data, altered_message)
            if message_of(lambda: parse_exported(content)):  # noqa: B023 - called at once
                outcomes["refused"] += 1
                continue
            outcomes["read"] += content != good
            file, usual = parse_exported(content), onnx.load_model_from_string(content)
            outcomes["rebuilt"] += not message_of(lambda: use(file))  # noqa: B023
            found = file.contents
            constants = {tensor.name: tensor for tensor in usual.graph.initializer}
            assert constants.keys() == found.constants.keys()
            for name, values in found.constants.items():
                assert np.array_equal(
                    onnx.numpy_helper.to_array(constants[name]).astype(values.dtype), values
                )
            assert [node.op_type for node in usual.graph.node] == [node.operator for node in found.nodes]

    refused_or_equal()
    assert outcomes["refused"] + outcomes["read"] >= 1_000
    assert outcomes["refused"] > 500
    assert outcomes["read"] > 20  # other weights, bounds and names make other networks, not bad ones
    assert outcomes["rebuilt"] > 20


def test_altered_files_of_another_quantizer() -> None:
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    good = quantizer_file()
    outcomes: Counter[str] = Counter()

    @MANY
    @given(CHOICES)
    def refused_or_equal(choices: list[bytes]) -> None:
        for data in choices:
            content = altered(good, data, altered_message)
            if message_of(lambda: parse_exported(content)):  # noqa: B023 - called at once
                outcomes["refused"] += 1
                continue
            outcomes["read"] += content != good
            file, usual = parse_exported(content), onnx.load_model_from_string(content)
            outcomes["rebuilt"] += not message_of(lambda: use(file))  # noqa: B023
            found = file.contents
            for tensor in usual.graph.initializer:
                assert np.array_equal(onnx.numpy_helper.to_array(tensor), found.constants[tensor.name])
            computing = [node for node in usual.graph.node if node.op_type != "Constant"]
            assert [node.op_type for node in computing] == [node.operator for node in found.nodes]
            assert [list(node.input) for node in computing] == [list(node.inputs) for node in found.nodes]

    refused_or_equal()
    assert outcomes["refused"] + outcomes["read"] >= 1_000
    assert outcomes["refused"] > 500
    assert outcomes["read"] > 20
    assert outcomes["rebuilt"] > 20


def test_altered_safetensors() -> None:
    model, _ = made("convnet", "W4A4")
    expected, table = tensor_forms(model), tensor_grids(model)
    good = tensors_to_bytes(state_to_tensors(integer_state(model), float_state(model)))
    outcomes: Counter[str] = Counter()

    @MANY
    @given(CHOICES)
    def refused_or_equal(choices: list[bytes]) -> None:
        for data in choices:
            content = altered(good, data, altered_header)
            if message_of(lambda: state_from_tensors(tensors_from_bytes(content, expected), table)):  # noqa: B023
                outcomes["refused"] += 1
                continue
            outcomes["read"] += content != good
            found, usual = tensors_from_bytes(content, expected), safetensors.torch.load(content)
            assert found.keys() == usual.keys()
            assert all(torch.equal(values, usual[name]) for name, values in found.items())

    refused_or_equal()
    assert outcomes["refused"] + outcomes["read"] >= 1_000
    assert outcomes["refused"] > 500
    assert outcomes["read"] > 20
