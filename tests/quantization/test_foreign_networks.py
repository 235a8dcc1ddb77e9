"""Networks that Brevitas or torch.ao quantized come in with their codes, or are refused by the names of modules."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

from obliq.errors import ModelError
from obliq.quantization import (
    activations,
    bring_in_steps,
    form_of,
    has_foreign_quantizers,
    quantize,
    read_foreign_network,
    weighted_layers,
    without_foreign_quantizers,
)
from tests.quantization import foreign_modules as foreign
from tests.quantization.foreign_modules import (
    FakeQuantize,
    QuantIdentity,
    QuantReLU,
    brevitas_like,
    torch_ao_like,
)


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def brought_in(
    network: nn.Module, shape: tuple[int, ...] = (1, 6, 6)
) -> tuple[nn.Module, Any, tuple[str, ...]]:
    found = read_foreign_network(network)
    form = form_of(found)
    model = quantize(
        found.plain,
        form.precision,
        layer_bits=form.layer_bits,
        weight_grid=form.weight_grid,
        input_shape=shape,
    )
    return model, form, bring_in_steps(model, found, form, torch.randn(64, *shape))


@pytest.mark.parametrize("build", [brevitas_like, torch_ao_like])
def test_codes_and_outputs_are_those_of_the_network_that_came(build: Callable[[], nn.Module]) -> None:
    network = build()
    before = copy.deepcopy(network.state_dict())
    model, _, added = brought_in(network)
    inputs = torch.randn(64, 1, 6, 6)
    expected, found = network(inputs), model(inputs)
    last = list(activations(model).values())[-1]
    if added:  # what an integer graph rounds in addition is the logits alone
        assert added == ("linear_output",)
        assert (expected - found).abs().max().item() < last.step.item()
    else:
        torch.testing.assert_close(found, expected)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_bits_and_steps_are_read_from_the_quantizers() -> None:
    model, form, _ = brought_in(brevitas_like())
    assert form.bits == "W4A8, conv=W4A8,linear=W5A3"
    assert form.weight_grid == "per_channel"
    layers, quantizers = weighted_layers(model), activations(model)
    assert [layer.bits for layer in layers.values()] == [4, 5]
    assert layers["conv"].weight_step.tolist() == pytest.approx([0.05] * 4)
    assert layers["linear"].weight_step.tolist() == pytest.approx([0.02, 0.03, 0.01])
    found = {name: (one.bits, one.signed, round(one.step.item(), 6)) for name, one in quantizers.items()}
    assert found["network_input"] == (8, True, 0.03)
    assert found["conv_output"] == (3, False, 0.2)
    # codes 0 to 127 of a signed grid behind a ReLU are 7 bits without a sign
    model, form, _ = brought_in(torch_ao_like())
    assert form.bits == "W8A8, linear=W8A7"
    assert {name: one.bits for name, one in activations(model).items()}["conv_0_output"] == 7


def test_the_same_module_without_quantizers_is_built_again_from_its_code() -> None:
    for build in (brevitas_like, torch_ao_like):
        network = build()
        assert has_foreign_quantizers(network)
        plain = without_foreign_quantizers(network)
        assert not has_foreign_quantizers(plain)
        assert plain.state_dict().keys() == read_foreign_network(network).plain.state_dict().keys()
        assert without_foreign_quantizers(plain) is plain


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (
            lambda: brevitas_like(input=QuantIdentity(0.03, zero=3.0)),
            ("input: zero point 3", "a symmetric scheme"),
        ),
        (lambda: brevitas_like(relu=QuantReLU(0.2, 9)), ("relu: 9 bits",)),
        (lambda: brevitas_like(relu=QuantReLU(0.2, 3.5)), ("relu: 3.5 bits",)),
        (
            lambda: brevitas_like(relu=QuantReLU(0.2, 4, narrow=True)),
            ("relu: values that are never negative have codes",),
        ),
        (
            lambda: brevitas_like(relu=QuantReLU(float("nan"))),
            ("relu: a scale is 0, negative or not finite",),
        ),
        (lambda: brevitas_like(conv=nn.Conv2d(1, 4, 3)), ("conv: its weights are not quantized",)),
        (
            lambda: brevitas_like(norm=nn.Sequential(nn.BatchNorm2d(4), QuantIdentity(0.1))),
            ("norm.1: its output is rounded where Obliq computes a layer",),
        ),
        (
            lambda: torch_ao_like(
                quant=foreign.observed(foreign.QuantStub(), FakeQuantize(0.03, zero=5)),
                linear=foreign.observed(
                    foreign.Linear(16, 3, quantizer=FakeQuantize(0.0001)), FakeQuantize(0.02, zero=-9)
                ),
            ),
            (
                "3 quantizers have no equal here",
                "the input: values that can be negative have codes from -133 to 122 around zero",
                "linear: weights have the code -128",
                "linear: values that can be negative have codes from -119 to 136",
                "obliq unlearn FILE.onnx",
            ),
        ),
    ],
)
def test_what_has_no_equal_is_refused_by_name(
    network: Callable[[], nn.Module], words: tuple[str, ...]
) -> None:
    with pytest.raises(ModelError) as refused:
        brought_in(network())
    for part in words:
        assert part in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_network_that_computes_more_than_was_recognised_is_refused() -> None:
    class Rounding(foreign.QuantLinear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * 2

    network = brevitas_like(linear=Rounding(16, 3, weight_bits=4, scale=0.05))
    with pytest.raises(ModelError, match="computes something that was not recognised"):
        brought_in(network)


def test_values_of_a_residual_sum_have_one_grid_for_all_who_read_them() -> None:
    class Block(nn.Module):
        def __init__(self, *, shared: bool) -> None:
            super().__init__()
            self.input, self.relu = QuantIdentity(0.03), QuantReLU(0.1)
            self.own, self.sum = QuantIdentity(0.1) if not shared else nn.Identity(), QuantIdentity(0.2)
            self.first, self.last = (
                foreign.QuantConv2d(1, 1, 3, padding=1, weight_bits=8, scale=0.01) for _ in range(2)
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.relu(self.first(self.input(x)))
            return self.sum(torch.add(self.last(self.own(x)), x)).flatten(1)

    _, form, added = brought_in(Block(shared=True).eval())
    assert form.bits == "W8A8"
    assert added == ("last_output",)
    with pytest.raises(ModelError, match="own: its output is rounded where Obliq"):
        brought_in(Block(shared=False).eval())
