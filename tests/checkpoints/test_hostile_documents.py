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
        (("version",), 2, "made by a newer obliq (format version 2); expected at most 1"),
        (("version",), 0, "not a saved network"),
        (("version",), "1", "not a saved network"),
        (("version",), True, "not a saved network"),
        (("format",), "zip", "not a saved network"),
        (("format",), None, "not a saved network"),
        (("surprise",), 1, "unknown field 'surprise'"),
        (("created",), 3, "the file.created is 3; expected str"),
        (("weights_digest",), "0" * 64, None),
        (("weights_digest",), "../../etc", "expected 64 hexadecimal digits"),
        (("blueprint",), [], "the file.blueprint is []; expected Blueprint"),
        (("blueprint", "architecture"), "os:system", "is code outside obliq"),
        (("blueprint", "architecture"), "resnet21", "unknown architecture 'resnet21'"),
        (("blueprint", "architecture"), "../convnet", "unknown architecture"),
        (("blueprint", "architecture"), "resnet20", "quantization of tensor"),
        (("blueprint", "architecture"), 5, "expected str"),
        (("blueprint", "input_shape"), [1, 8], "expected (channels, height, width)"),
        (("blueprint", "input_shape"), [3, 8, 8], "quantization of tensor 'features.0.weight'"),
        (("blueprint", "input_shape"), [1, 2**40, 8], "expected 1 to 8 sizes"),
        (("blueprint", "input_shape"), [1, "8", 8], "input_shape[1] is '8'; expected int"),
        (("blueprint", "classes"), 10**7, "quantization of tensor 'classifier.weight'"),
        (("blueprint", "classes"), 10**30, "expected int"),
        (("blueprint", "classes"), 3.0, "expected int"),
        (("blueprint", "classes"), True, "expected int"),
        (("blueprint", "precision"), "W9A4", "expected a whole number from 2 to 8"),
        (("blueprint", "precision"), "W1A4", "expected a whole number from 2 to 8"),
        (("blueprint", "precision"), "W3A4", "quantization of tensor"),
        (("blueprint", "precision"), {"weights": 4, "activations": 4}, "expected str"),
        (("blueprint", "preset"), "cheap", "expected deploy or paper"),
        (("blueprint", "edge_bits"), 99, "expected a whole number from 2 to 8"),
        (("blueprint", "weight_grid"), "per_row", "expected per_channel or per_tensor"),
        (("blueprint", "weight_grid"), "per_tensor", "quantization of tensor"),
        (("quantization",), {}, "quantization of tensor 'classifier.weight' is None"),
        (("quantization", "features.4.weight", "bits"), 8, "quantization of tensor 'features.4.weight'"),
        (("quantization", "features.4.weight", "bits"), 1, "quantization of tensor 'features.4.weight'"),
        (("quantization", "features.4.weight", "bits"), 2**70, "expected int"),
        (("quantization", "features.4.weight", "shape"), [16, 32, 3, 3], "'features.4.weight'"),
        (("quantization", "features.4.weight", "shape"), None, "'features.4.weight'"),
        (("quantization", "features.4.weight", "channel_axis"), 9, "'features.4.weight'"),
        (("quantization", "features.4.weight", "channel_axis"), None, "'features.4.weight'"),
        (("quantization", "features.4.weight", "zero_point"), 3, "'features.4.weight'"),
        (("quantization", "features.4.weight", "signed"), False, "'features.4.weight'"),
        (("quantization", "features.4.weight", "signed"), 1, "expected bool"),
        (("quantization", "../up.weight"), {"bits": 4}, "has no field 'shape'"),
        (("provenance", "role"), "thief", "role 'thief'; expected original, retrained, unlearned"),
        (("provenance", "seconds"), "long", "expected float"),
        (("provenance", "seconds"), 10**400, "expected float"),
        (("provenance", "rule", "holdout"), 2.0, "expected shares above 0"),
        (("provenance", "rule", "seed"), None, "expected int"),
        (("provenance", "ids"), [1, 2], "unknown field 'ids'"),
        (("provenance", "counts"), {"subject=7": 1}, "a count of 'subject=7'"),
        (("provenance", "method_fields"), {"a": {"b": 1}}, "the file.provenance.method_fields.'a'"),
        (("provenance", "partition_digest"), None, "expected str"),
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
        assert "has the digest of" in refused(folder, "model.safetensors")
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
