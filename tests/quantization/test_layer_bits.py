"""Layers whose precision differs from that of their network."""

import pytest

from obliq.checkpoints import Blueprint
from obliq.errors import ModelError
from obliq.exporting import graph_of
from obliq.io.strict_json import decode, encode
from obliq.quantization import (
    LayerBits,
    Precision,
    activations,
    calibrate_steps,
    integer_state,
    quantize,
    weighted_layers,
)
from tests.quantization.nets import made


def bits(
    name: str, layer_bits: object, precision: str = "W4A4", **options: object
) -> tuple[dict[str, int], dict[str, int]]:
    network, inputs = made(name)
    found = quantize(network, precision, layer_bits=layer_bits, input_shape=inputs.shape[1:], **options)  # type: ignore[arg-type]
    calibrate_steps(found, inputs)
    integer_state(found)
    if name == "residual":
        graph_of(found, inputs.shape[1:])
    return (
        {path: layer.bits for path, layer in weighted_layers(found).items()},
        {path: quantizer.bits for path, quantizer in activations(found).items()},
    )


def test_a_layer_has_the_bits_of_its_path() -> None:
    usual_weights, usual_read = bits("plain", None)
    assert usual_weights == {"first": 8, "second": 4, "third": 4, "last": 8}
    weights, read = bits("plain", "second=W8A6,first=W3A8")
    assert weights == {"first": 3, "second": 8, "third": 4, "last": 8}
    changed = {path: width for path, width in read.items() if width != usual_read[path]}
    assert list(changed.values()) == [6]
    assert bits("plain", {"second": Precision(8, 6), "first": "W3A8"}) == (weights, read)
    assert bits("plain", "") == (usual_weights, usual_read)
    assert bits("plain", "last=W4A4")[0]["last"] == 4


def test_a_module_stands_for_its_layers_and_the_longest_path_decides() -> None:
    paths = list(bits("residual", None)[0])
    block = next(path.rpartition(".")[0] for path in paths if "." in path)
    inside = [path for path in paths if path.startswith(f"{block}.")]
    weights, _ = bits("residual", f"{inside[0]}=W3A3,{block}=W6A6")
    assert weights[inside[0]] == 3
    assert {weights[path] for path in inside[1:]} == {6}


def test_the_layers_of_the_paper_preset_can_be_quantized_one_by_one() -> None:
    usual, _ = bits("plain", None, preset="paper")
    assert set(usual) == {"second", "third"}
    weights, read = bits("plain", "last=W8A8", preset="paper")
    assert weights == {"second": 4, "third": 4, "last": 8}
    assert sorted(read.values()) == [4, 4, 8]


@pytest.mark.parametrize(
    ("layer_bits", "message"),
    [
        ("secnd=W8A8", "no layer with weights at 'secnd'; expected a module path such as second"),
        ("norm=W8A8", "no layer with weights at 'norm'"),
        ("second=FP32", "expected bits from W2A2 to W8A8"),
        ("second=W9A8", "expected a whole number from 2 to 8"),
        ("second", "expected module paths with bits"),
        ("=W8A8", "expected module paths with bits"),
        ("second=W8A8,second=W4A4", "'second' has two precisions"),
    ],
)
def test_what_cannot_be(layer_bits: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        bits("plain", layer_bits)
    with pytest.raises(ModelError, match=r"FP32 network|expected"):
        bits("plain", "second=W8A8", precision="FP32")


def test_a_form_without_special_layers_is_stored_as_before() -> None:
    plain = Blueprint(architecture="convnet", input_shape=(1, 8, 8), classes=3)
    assert "layer_bits" not in encode(plain)
    special = Blueprint(
        architecture="convnet",
        input_shape=(1, 8, 8),
        classes=3,
        layer_bits=LayerBits.parse("classifier=W4A4"),
    )
    assert encode(special)["layer_bits"] == "classifier=W4A4"
    assert special.bits == "W4A4, classifier=W4A4"
    for blueprint in (plain, special):
        assert decode(Blueprint, encode(blueprint)) == blueprint
        hash(blueprint)
