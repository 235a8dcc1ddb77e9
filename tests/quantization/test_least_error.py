"""Steps for networks that are quantized without training."""

import pytest
import torch

from obliq.errors import ModelError
from obliq.quantization import calibrate_steps, learned_steps, quantize
from obliq.quantization.learned_step import initial_step
from obliq.quantization.least_error import least_error_step
from tests.quantization.nets import made


def error(x: torch.Tensor, step: torch.Tensor, low: int, high: int) -> float:
    return float(((x / step).round().clamp(low, high) * step - x).square().mean())


@pytest.mark.parametrize(("bits", "signed"), [(2, True), (4, True), (8, True), (4, False), (8, False)])
def test_no_other_step_is_much_better(bits: int, signed: bool) -> None:
    x = torch.randn(5000, generator=torch.Generator().manual_seed(0))
    low, high = (-(2 ** (bits - 1)) + 1, 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    x = x if signed else x.clamp_min(0)
    found = error(x, least_error_step(x, low, high), low, high)
    others = [error(x, x.abs().max() / high * part, low, high) for part in torch.linspace(0.005, 1.2, 300)]
    assert found <= 1.1 * min(others)
    assert found < error(x, initial_step(x, high), low, high)


def test_every_channel_has_its_own_and_silence_has_one_too() -> None:
    x = torch.stack([torch.linspace(-1, 1, 50), torch.linspace(-8, 8, 50), torch.zeros(50)])
    steps = least_error_step(x, -7, 7, 0)
    assert steps[1] == pytest.approx(8 * float(steps[0]), rel=1e-5)
    assert bool((steps > 0).all())


def test_patterns_in_an_image_do_not_decide() -> None:
    image = torch.zeros(4096, 8, 8)
    image[:, :, 3] = torch.rand(4096, 8, generator=torch.Generator().manual_seed(0))
    step = least_error_step(image, 0, 255)
    assert 0.5 < float(step) * 255 <= 1.0


def test_a_network_that_stays_as_it_is_keeps_more_of_its_answers() -> None:
    network, inputs = made("residual", samples=64)
    expected = network.eval()(inputs)
    errors = []
    for least in (False, True):
        quantized = quantize(network, "W8A8", input_shape=inputs.shape[1:])
        calibrate_steps(quantized, inputs, least_error=least)
        errors.append(float((quantized(inputs) - expected).square().mean().detach()))
        assert all(bool((step > 0).all()) for step in learned_steps(quantized))
    assert errors[1] < errors[0] / 2
    with pytest.raises(ModelError, match="empty or not finite"):
        calibrate_steps(quantized, inputs[:0], least_error=True)
