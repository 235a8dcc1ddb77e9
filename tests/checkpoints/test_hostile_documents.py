"""Documents that do not fit: what model.json may not say, or is not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoints.refusals import refused

Edit = Callable[[Callable[[dict[str, Any]], object]], Path]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("version",), 3, "version is 3, which a newer Obliq wrote; expected 2"),
        (("version",), 0, "version is 0; expected a whole number from 1"),
        (("version",), "1", 'version is "1"; expected a whole number'),
        (("version",), True, "version is true; expected a whole number"),
        (("format",), "zip", 'format is "zip"; expected "obliq-network"'),
        (("format",), None, 'format is null; expected "obliq-network"'),
        (("surprise",), 1, "unknown field 'surprise'"),
        (("created",), 3, "network.created is 3; expected a text"),
        (("weights_digest",), "0" * 64, None),
        (("weights_digest",), "../../etc", "expected 64 hexadecimal digits"),
        (("blueprint",), [], "network.blueprint is a list; expected an object"),
        (("blueprint", "architecture"), "os:system", "is code outside obliq"),
        (("blueprint", "architecture"), "resnet21", "unknown architecture 'resnet21'"),
        (("blueprint", "architecture"), "../convnet", "unknown architecture"),
        (("blueprint", "architecture"), "resnet20", "quantization of tensor"),
        (("blueprint", "architecture"), 5, "expected a text"),
        (("blueprint", "input_shape"), [1, 8], "expected (channels, height, width)"),
        (("blueprint", "input_shape"), [3, 8, 8], "quantization of tensor 'features.0.weight'"),
        (("blueprint", "input_shape"), [1, 2**40, 8], "expected 1 to 8 sizes"),
        (("blueprint", "input_shape"), [1, "8", 8], 'input_shape[1] is "8"; expected a whole number'),
        (("blueprint", "classes"), 10**7, "quantization of tensor 'classifier.weight'"),
        (("blueprint", "classes"), 10**30, "expected a whole number"),
        (("blueprint", "classes"), 3.0, "expected a whole number"),
        (("blueprint", "classes"), True, "expected a whole number"),
        (("blueprint", "precision"), "W9A4", "expected a whole number from 2 to 8"),
        (("blueprint", "precision"), "W1A4", "expected a whole number from 2 to 8"),
        (("blueprint", "precision"), "W3A4", "quantization of tensor"),
        (("blueprint", "precision"), {"weights": 4, "activations": 4}, "expected a text"),
        (("blueprint", "preset"), "cheap", "expected deploy or paper"),
        (("blueprint", "edge_bits"), 99, "expected a whole number from 2 to 8"),
        (("blueprint", "weight_grid"), "per_row", "expected per_channel or per_tensor"),
        (("blueprint", "weight_grid"), "per_tensor", "quantization of tensor"),
        (
            ("quantization",),
            {},
            "quantization of tensor 'classifier.weight': the file has no such tensor, and the network that",
        ),
        (("quantization", "features.4.weight", "bits"), 8, "quantization of tensor 'features.4.weight'"),
        (("quantization", "features.4.weight", "bits"), 1, "quantization of tensor 'features.4.weight'"),
        (("quantization", "features.4.weight", "bits"), 2**70, "expected a whole number"),
        (("quantization", "features.4.weight", "shape"), [16, 32, 3, 3], "'features.4.weight'"),
        (("quantization", "features.4.weight", "shape"), None, "'features.4.weight'"),
        (("quantization", "features.4.weight", "channel_axis"), 9, "'features.4.weight'"),
        (("quantization", "features.4.weight", "channel_axis"), None, "'features.4.weight'"),
        (("quantization", "features.4.weight", "zero_point"), 3, "'features.4.weight'"),
        (("quantization", "features.4.weight", "signed"), False, "'features.4.weight'"),
        (("quantization", "features.4.weight", "signed"), 1, "expected true or false"),
        (("quantization", "../up.weight"), {"bits": 4}, "has no field 'shape'"),
        (("provenance", "role"), "thief", "role 'thief'; expected original, retrained, unlearned"),
        (("provenance", "seconds"), "long", "expected a number"),
        (("provenance", "seconds"), 10**400, "expected a number"),
        (("provenance", "rule", "holdout"), 2.0, "expected shares of at least 0"),
        (("provenance", "rule", "seed"), None, "expected a whole number"),
        (("provenance", "ids"), [1, 2], "unknown field 'ids'"),
        (("provenance", "counts"), {"subject=7": 1}, "a count of 'subject=7'"),
        (("provenance", "method_fields"), {"a": {"b": 1}}, "network.provenance.method_fields['a']"),
        (("provenance", "partition_digest"), None, "expected a text"),
    ],
)
def test_documents_that_do_not_fit(
    edit: Edit, path: tuple[str, ...], value: object, message: str | None
) -> None:
    def change(values: dict[str, Any]) -> None:
        for name in path[:-1]:
            values = values[name]
        values[path[-1]] = value

    folder = edit(change)
    if message is None:
        assert "does not have the digest" in refused(folder, "model.safetensors")
    else:
        assert message in refused(folder, "model.json")


@pytest.mark.parametrize(
    "field", ["format", "version", "blueprint", "quantization", "provenance", "weights_digest", "created"]
)
def test_missing_fields(edit: Edit, field: str) -> None:
    refused(edit(lambda values: values.pop(field)), "model.json")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"classes": 3', '"classes": 3, "classes": 3'),
        lambda text: text.replace('"seconds": 1.5', '"seconds": NaN'),
        lambda text: text.replace('"seconds": 1.5', '"seconds": -Infinity'),
        lambda text: text.replace('"seconds": 1.5', '"seconds": 1e999'),
        lambda text: text.replace('"digits"', '"\\ud800"'),
        lambda text: text + "{}",
        lambda text: "[" * 200_000,
        lambda text: '{"a":' * 100_000,
        lambda text: "",
        lambda text: "[]",
        lambda text: "\x00" * 100,
        lambda text: "import os",
        lambda text: " " * (8 * 2**20) + text,
    ],
)
def test_texts_that_are_no_document(stored: Path, change: Callable[[str], str]) -> None:
    text = (stored / "model.json").read_text()
    assert change(text) != text
    (stored / "model.json").write_text(change(text))
    refused(stored, "model.json")
