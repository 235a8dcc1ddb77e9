"""The deployed network in PyTorch with a device's sums, against the interpreter, and what float sums do instead."""

import functools

import numpy as np
import pytest
import torch
from numpy import ndarray
from torch import Tensor, nn

from obliq.errors import ModelError
from obliq.exporting import Exact, deployed, exact, exact_if_deployed, graph_of, interpreter
from obliq.quantization import QuantizedActivation, activations, weights_digest
from tests.exporting.networks import CASES, made


@pytest.mark.parametrize("precision", ["W8A8", "W4A4", "W2A2"])
@pytest.mark.parametrize("name", CASES)
def test_every_code_and_logit_is_the_interpreters(name: str, precision: str) -> None:
    model, inputs = made(name, precision)
    before = weights_digest(model)
    graph = graph_of(model, inputs.shape[1:])
    expected = interpreter.run(graph, inputs.numpy())
    network = exact(deployed(model, inputs.shape[1:]), inputs.shape[1:])
    found = network.codes(inputs)
    assert list(found) == list(expected)
    for step, codes in expected.items():
        np.testing.assert_array_equal(found[step].numpy(), codes)
    np.testing.assert_array_equal(network(inputs).numpy(), interpreter.logits(graph, expected))
    assert exact_if_deployed(model, inputs.shape[1:]) is None  # its biases are not those of a file
    assert isinstance(exact_if_deployed(deployed(model, inputs.shape[1:]), inputs.shape[1:]), Exact)
    assert weights_digest(model) == before


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["residual blocks", "inverted residuals", "own residual"])
def test_float_sums_of_equal_inputs_are_one_step_off_at_most_and_only_at_a_half(
    name: str, dtype: torch.dtype
) -> None:
    model, inputs = made(name, "W8A8")
    network = deployed(model, inputs.shape[1:]).to(dtype)
    expected = interpreter.run(graph_of(model, inputs.shape[1:]), inputs.numpy())
    parted = corrected(network, expected)
    with torch.no_grad():
        network(inputs.to(dtype))
    assert parted.keys() == activations(network).keys()
    for before, apart in parted.values():
        assert apart.max() <= 1
        at = before[apart > 0]
        assert torch.allclose(at - at.floor(), torch.tensor(0.5, dtype=dtype), atol=1e-4)


def corrected(network: nn.Module, expected: dict[str, ndarray]) -> dict[str, tuple[Tensor, Tensor]]:
    """Replace what each quantizer says by the interpreter's codes; what it would round, and how far it was off."""
    parted: dict[str, tuple[Tensor, Tensor]] = {}

    def correct(step: str, quantizer: QuantizedActivation, given: tuple[Tensor], output: Tensor) -> Tensor:
        codes = torch.from_numpy(expected[step]).reshape(output.shape).to(output.dtype)
        apart = (torch.div(output, quantizer.step).round() - codes).abs()
        parted[step] = torch.div(given[0], quantizer.step), apart
        return codes * quantizer.step

    for step, quantizer in activations(network).items():
        quantizer.register_forward_hook(functools.partial(correct, step))
    return parted


def test_what_has_no_file_has_no_sums_of_a_device() -> None:
    assert exact_if_deployed(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), (1, 8, 8)) is None


def test_other_inputs_are_refused() -> None:
    model, _ = made("convnet", "W4A4")
    with pytest.raises(ModelError, match=r"inputs of shape \(1, 8, 9\); expected \(1, 8, 8\)"):
        exact(model, (1, 8, 8))(torch.zeros(2, 1, 8, 9))
