import copy
import dataclasses
import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from obliq.errors import ModelError
from obliq.quantization import (
    IntegerTensor,
    calibrate_steps,
    changed_codes,
    float_state,
    integer_state,
    latent_state,
    load_integer_state,
    load_latent_state,
    quantize,
    state_digest,
    weighted_layers,
    weights_digest,
)
from obliq.quantization.precision import weight_range
from tests.quantization.nets import NETS, made


def ready(name: str = "residual", seed: int = 0, **options: object) -> tuple[nn.Module, torch.Tensor]:
    quantized, inputs = _ready(name, seed, tuple({"precision": "W4A4", **options}.items()))
    return copy.deepcopy(quantized), inputs


@functools.cache
def _ready(name: str, seed: int, options: tuple[tuple[str, object], ...]) -> tuple[nn.Module, torch.Tensor]:
    net, inputs = made(name, seed=seed)
    quantized = quantize(net, **dict(options))
    calibrate_steps(quantized, inputs)
    return quantized.eval(), inputs


def same(one: dict[str, IntegerTensor], other: dict[str, IntegerTensor]) -> bool:
    def parts(tensor: IntegerTensor) -> tuple[object, ...]:
        codes = None if tensor.codes is None else (tensor.codes.shape, tensor.codes.flatten().tolist())
        return (
            codes,
            tensor.scale.tolist(),
            tensor.bits,
            tensor.channel_axis,
            tensor.signed,
            tensor.zero_point,
        )

    return {key: parts(value) for key, value in one.items()} == {k: parts(v) for k, v in other.items()}


@settings(max_examples=5)
@given(
    name=st.sampled_from(list(NETS)),
    bits=st.integers(2, 8),
    grid=st.sampled_from(["per_channel", "per_tensor"]),
    seed=st.integers(0, 1000),
)
def test_the_round_trip_is_exact(name: str, bits: int, grid: str, seed: int) -> None:
    model, inputs = ready(name, seed, precision=f"W{bits}A{bits}", edge_bits=bits, weight_grid=grid)
    integers, floats = integer_state(model), float_state(model)
    blank, _ = ready(name, seed + 1, precision=f"W{bits}A{bits}", edge_bits=bits, weight_grid=grid)
    before = weights_digest(blank)
    loaded = load_integer_state(blank, integers, floats)
    assert weights_digest(blank) == before, "the given model is untouched"
    assert same(integer_state(loaded), integers)
    assert torch.equal(loaded(inputs), model(inputs))
    assert weights_digest(loaded) == weights_digest(model) == state_digest(integers, floats)
    assert changed_codes(model, loaded) == 0.0
    low, high = weight_range(bits)
    for name, layer in weighted_layers(model).items():
        tensor = integers[f"{name}.weight"]
        assert low <= tensor.codes.min()
        assert tensor.codes.max() <= high
        assert torch.equal(tensor.values(), layer.quantized_weight())


def test_loaded_codes_can_move_even_at_the_ends_of_the_range() -> None:
    model, inputs = ready(precision="W2A4")
    loaded = load_integer_state(model, integer_state(model), float_state(model))
    loaded(inputs).square().sum().backward()
    layer = weighted_layers(loaded)["blocks.0.conv2"]
    assert (layer.weight.grad != 0).float().mean() > 0.9


def test_latent_weights_come_back_and_must_fit() -> None:
    model, _ = ready()
    latents = latent_state(model)
    bare = load_integer_state(model, integer_state(model), float_state(model))
    restored = load_latent_state(bare, latents)
    for name, layer in weighted_layers(restored).items():
        assert torch.equal(layer.weight, weighted_layers(model)[name].weight)
    wrong = dict(latents, **{"stem.weight": -latents["stem.weight"]})
    with pytest.raises(ModelError, match=r"stem.weight does not round"):
        load_latent_state(bare, wrong)
    with pytest.raises(ModelError, match="missing"):
        load_latent_state(bare, {})


def test_the_digest_sees_every_single_value() -> None:
    model, _ = ready()
    integers, floats = integer_state(model), float_state(model)
    digest = state_digest(integers, floats)
    assert state_digest(dict(reversed(integers.items())), dict(reversed(floats.items()))) == digest
    for name, tensor in integers.items():
        scale = tensor.scale.clone()
        scale.view(-1)[-1] *= 1 + 2**-23
        assert state_digest({**integers, name: dataclasses.replace(tensor, scale=scale)}, floats) != digest
        if tensor.codes is not None:
            codes = tensor.codes.clone()
            last = codes.view(-1)
            last[-1] = last[-1] - 1 if last[-1] > 0 else last[-1] + 1
            changed = {**integers, name: dataclasses.replace(tensor, codes=codes)}
            assert state_digest(changed, floats) != digest
    for name, value in floats.items():
        other = value.clone()
        other.view(-1)[-1] += 1
        assert state_digest(integers, {**floats, name: other}) != digest
    swapped = dict(floats)
    swapped["norm.bias"], swapped["norm.weight"] = floats["norm.weight"], floats["norm.bias"]
    assert state_digest(integers, swapped) != digest


def test_the_digest_does_not_see_latents_or_layout() -> None:
    model, _ = ready()
    digest = weights_digest(model)
    assert weights_digest(model.to(memory_format=torch.channels_last)) == digest
    with torch.no_grad():
        layer = weighted_layers(model)["blocks.0.conv1"]
        layer.weight.copy_(layer.quantized_weight())
    assert weights_digest(model) == digest


def test_the_share_of_changed_codes() -> None:
    model, _ = ready()
    integers = integer_state(model)
    total = sum(tensor.codes.numel() for tensor in integers.values() if tensor.codes is not None)
    codes = integers["stem.weight"].codes.clone()
    codes.view(-1)[:5] = torch.where(codes.view(-1)[:5] > 0, -1, 1).to(torch.int8)
    integers["stem.weight"] = dataclasses.replace(integers["stem.weight"], codes=codes)
    other = load_integer_state(model, integers, float_state(model))
    assert changed_codes(model, other) == pytest.approx(5 / total)
    with pytest.raises(ModelError, match="no quantized weights"):
        changed_codes(made("residual")[0], made("residual")[0])
    with pytest.raises(ModelError, match="missing"):
        changed_codes(model, ready("plain")[0])


def _replaced(name: str, **parts: object):
    return lambda integers, floats: integers.update({name: dataclasses.replace(integers[name], **parts)})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda integers, floats: integers.pop("stem.weight"), "integer tensor stem.weight is missing"),
        (
            lambda integers, floats: integers.update(extra=integers["stem.weight"]),
            "integer tensor extra is unknown",
        ),
        (lambda integers, floats: floats.pop("norm.bias"), "float tensor norm.bias is missing"),
        (lambda integers, floats: floats.update(more=torch.ones(1)), "float tensor more is unknown"),
        (lambda integers, floats: floats.update({"norm.bias": torch.ones(9)}), "norm.bias is .* shape"),
        (lambda integers, floats: floats.update({"norm.bias": torch.ones(8).double()}), "float64"),
        (
            lambda integers, floats: floats.update({"norm.bias": torch.full((8,), torch.nan)}),
            "norm.bias holds NaN",
        ),
        (_replaced("blocks.0.conv1.weight", bits=5), "conv1.weight has 5 bits"),
        (
            _replaced("stem.weight", codes=torch.zeros(8, 3, 3, 1, dtype=torch.int8)),
            r"stem.weight has shape \(8, 3, 3, 1\)",
        ),
        (_replaced("stem.weight", codes=None, scale=torch.ones(()), channel_axis=None), "has no codes"),
        (_replaced("stem.weight", scale=torch.ones(()), channel_axis=None), "along axis None"),
        (_replaced("stem_output", bits=6), "activation stem_output has 6 bits"),
        (_replaced("stem_output", signed=True), "activation stem_output .*signed=True"),
    ],
)
def test_states_that_do_not_fit_are_named(damage, message: str) -> None:
    model, _ = ready()
    integers, floats = integer_state(model), float_state(model)
    damage(integers, floats)
    with pytest.raises(ModelError, match=message):
        load_integer_state(model, integers, floats)


CODES = torch.tensor([[1, -7], [0, 7]], dtype=torch.int8)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"bits": 1}, "bits is 1"),
        ({"bits": 3}, r"codes lie in -7..7; expected -3..3"),
        ({"zero_point": 1}, "zero point is 1"),
        ({"signed": False}, "expected signed"),
        ({"codes": CODES.int()}, "torch.int32"),
        ({"codes": torch.full((2, 2), -8, dtype=torch.int8)}, "expected -7..7"),
        ({"scale": torch.ones(2).double()}, "torch.float64"),
        ({"scale": torch.ones(3)}, "scales have shape"),
        ({"scale": torch.tensor([1.0, 0.0])}, "a scale is 0.0"),
        ({"scale": torch.tensor([1.0, -1.0])}, "a scale is -1.0"),
        ({"scale": torch.tensor([1.0, torch.nan])}, "a scale is nan"),
        ({"scale": torch.tensor([1.0, torch.inf])}, "a scale is inf"),
        ({"scale": torch.tensor([1.0, 1e-40])}, "not denormal"),
        ({"channel_axis": 2}, r"channel axis is 2; expected 0..1"),
        ({"channel_axis": -1}, "channel axis is -1"),
        ({"channel_axis": None}, "scales have shape"),
        ({"codes": None}, "expected a single scale"),
    ],
)
def test_integer_tensors_are_checked_when_made(parts: dict, message: str) -> None:
    good = {
        "codes": CODES,
        "scale": torch.ones(2),
        "zero_point": 0,
        "bits": 4,
        "channel_axis": 0,
        "signed": True,
    }
    IntegerTensor(**good)
    with pytest.raises(ModelError, match=message):
        IntegerTensor(**{**good, **parts})


def test_weights_that_are_not_numbers_are_refused() -> None:
    model, _ = ready()
    with torch.no_grad():
        weighted_layers(model)["stem"].weight.view(-1)[0] = torch.nan
    with pytest.raises(ModelError, match=r"stem.weight: weights hold NaN"):
        integer_state(model)
