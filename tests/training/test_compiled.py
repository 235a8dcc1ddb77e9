"""Training through torch.compile: the same results up to rounding, and a plain network at the end.

The code that torch generates is the slow part to make and is torch's own; what is tested here is all before it:
tracing, quantizers as ordinary operations, and their gradients.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from obliq.errors import ModelError
from obliq.quantization import quantize
from obliq.quantization.learned_step import _composed
from obliq.quantization.learned_step import fake_quantize as rounded
from obliq.run import Run
from obliq.training.compilation import forward_function
from tests.conftest import SmallNet

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("axis", [None, 0])
@pytest.mark.parametrize(("low", "high"), [(-7, 7), (0, 3)])
def test_ordinary_operations_have_the_quantizers_values_and_gradients(
    axis: int | None, low: int, high: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 5, 4, generator=generator).double().requires_grad_()
    with torch.no_grad():
        x[0, 0, 0] = 0.0  # a bound of the unsigned grid, where no gradient passes
    step = torch.full((6,) if axis == 0 else (), 0.3).double().requires_grad_()
    weight = torch.randn(6, 5, 4, generator=generator).double()
    one, other = rounded(x, step, low, high, 0.05, axis), _composed(x, step, low, high, 0.05, axis)
    assert torch.allclose(one, other)
    for a, b in zip(
        torch.autograd.grad((one * weight).sum(), (x, step)),
        torch.autograd.grad((other * weight).sum(), (x, step)),
        strict=True,
    ):
        assert torch.allclose(a, b)


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.training.compiled_training"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_training_gives_the_same_network_up_to_rounding(found: dict[str, Any]) -> None:
    assert found["moved"] > 0
    assert found["apart"] < 1e-4 * found["moved"]


def test_what_comes_back_is_no_wrapper(found: dict[str, Any]) -> None:
    plain, compiled = found["types"]
    assert plain.rpartition(".")[2] == compiled.rpartition(".")[2] == "GraphModule"
    assert found["same_names"]


def test_what_cannot_be_compiled_is_one_line(found: dict[str, Any]) -> None:
    assert "cannot compile" in found["error"]
    assert "C++ compiler" in found["error"]
    assert "\n" not in found["error"]


def test_other_batch_sizes_are_not_compiled(original: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def pretend(model: nn.Module, **options: Any) -> Any:
        return lambda inputs: seen.append(len(inputs)) or model(inputs)

    monkeypatch.setattr(torch, "compile", pretend)
    forward = forward_function(original, Run(compile=True), 4)
    for size in (4, 3, 4):
        forward(torch.zeros(size, 1, 6, 6))
    assert seen == [4, 4]


def test_steps_must_have_been_set() -> None:
    with pytest.raises(ModelError, match="calibrate"):
        forward_function(quantize(SmallNet(), "W4A4"), Run(compile=True), 4)
