"""What every type of layer in `QUANTIZED` promises. A new type needs one line in `EXAMPLES`."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from obliq.quantization import calibrate_steps, float_state, integer_state, load_integer_state, quantize
from obliq.quantization.layers import QUANTIZED, from_float

EXAMPLES: dict[type[nn.Module], tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    # float layer: an example, and the shape of one input
    nn.Conv1d: (lambda: nn.Conv1d(4, 6, 3, padding=2, dilation=2, groups=2), (4, 9)),
    nn.Conv2d: (lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1, padding_mode="circular"), (4, 7, 8)),
    nn.ConvTranspose1d: (lambda: nn.ConvTranspose1d(4, 6, 3, stride=2, groups=2), (4, 5)),
    nn.ConvTranspose2d: (
        lambda: nn.ConvTranspose2d(4, 6, 3, (2, 1), padding=1, output_padding=(1, 0)),
        (4, 3, 4),
    ),
    nn.Linear: (lambda: nn.Linear(5, 3), (5,)),
}

every_layer = pytest.mark.parametrize("kind", QUANTIZED, ids=lambda kind: kind.__name__)


def example(kind: type[nn.Module]) -> tuple[nn.Module, Tensor]:
    """A float layer and a batch of inputs for it."""
    build, shape = EXAMPLES[kind]
    torch.manual_seed(0)
    return build(), torch.randn(8, *shape)


@every_layer
def test_the_copy_has_equal_settings_and_latent_weights(kind: type[nn.Module]) -> None:
    layer, _ = example(kind)
    quantized = from_float(layer, 4)
    assert isinstance(quantized, QUANTIZED[kind])
    assert repr(quantized).removeprefix("Quantized").startswith(repr(layer)[:-1])
    for name, parameter in layer.named_parameters():
        assert torch.equal(quantized.get_parameter(name), parameter)


@every_layer
@pytest.mark.parametrize("grid", ["per_channel", "per_tensor"])
def test_the_output_is_the_float_layers_on_rounded_weights(kind: type[nn.Module], grid: str) -> None:
    layer, inputs = example(kind)
    quantized = from_float(layer, 3, grid)
    with torch.no_grad():
        layer.weight.copy_(quantized.quantized_weight())
    assert not torch.equal(layer.weight, quantized.weight)
    torch.testing.assert_close(quantized(inputs), layer(inputs))


@every_layer
def test_many_bits_are_close_to_float(kind: type[nn.Module]) -> None:
    layer, inputs = example(kind)
    expected = layer(inputs)
    error = (from_float(layer, 8)(inputs) - expected).norm() / expected.norm()
    assert 0 < error < 0.1


@every_layer
def test_weights_and_steps_are_trained(kind: type[nn.Module]) -> None:
    layer, inputs = example(kind)
    quantized = from_float(layer, 4)
    quantized(inputs).square().sum().backward()
    for name, parameter in quantized.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().sum()) > 0, name


@every_layer
def test_a_network_of_it_is_quantized_stored_and_restored(kind: type[nn.Module]) -> None:
    layer, inputs = example(kind)
    network = quantize(nn.Sequential(layer), "W4A4", input_shape=tuple(inputs.shape[1:])).eval()
    calibrate_steps(network, inputs)
    integers = integer_state(network)
    restored = load_integer_state(network, integers, float_state(network))
    assert any(tensor.codes is not None for tensor in integers.values())
    torch.testing.assert_close(restored(inputs), network(inputs))
