"""How inputs are scaled, and what outputs mean, is in the file, and changes nothing that it computes."""

import dataclasses
import json
from collections.abc import Callable

import pytest
import torch

from obliq.data import Collection, load_dataset
from obliq.data.input_contract import InputContract
from obliq.errors import DataError, ModelError
from obliq.exporting import FORMS, export_file, parse_exported, patch_file
from tests.exporting.networks import made

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")

CONTRACT = InputContract(
    shape=(3, 8, 8),
    axes="channels x height x width",
    stored="uint8",
    divide_by=255.0,
    mean=(0.5,),
    deviation=(0.5,),
    class_names=("cat", "Hündin", "eel", *map(str, range(500))),
)


@pytest.mark.parametrize("form", FORMS)
def test_it_is_outside_of_everything_that_is_computed(form: str) -> None:
    model, inputs = made("convnet", "W4A4")
    shape = tuple(inputs.shape[1:])
    plain, stated = (
        parse_exported(export_file(model, shape, form, inputs=inputs)) for inputs in (None, CONTRACT)
    )
    assert (plain.contents.inputs, stated.contents.inputs) == (None, CONTRACT)
    assert stated.data.startswith(plain.data)
    assert stated.content_digest == plain.content_digest
    assert stated.outline() == plain.outline()
    metadata = {entry.key: entry.value for entry in onnx.load_model_from_string(stated.data).metadata_props}
    assert json.loads(metadata["inputs"])["class_names"][:3] == ["cat", "Hündin", "eel"]
    assert patch_file(stated, plain.content) == stated.data
    assert patch_file(plain, stated.content) == plain.data


def test_a_file_that_a_tool_saved_again_under_its_name_is_ours() -> None:
    model, inputs = made("convnet", "W4A4")
    data = export_file(model, tuple(inputs.shape[1:]), "integer", inputs=CONTRACT)
    message = onnx.load_model_from_string(data)
    message.producer_name = "tool"
    found = parse_exported(message.SerializeToString(deterministic=True))
    assert (found.format, found.contents.inputs) == ("onnx", CONTRACT)
    assert found.content_digest == parse_exported(data).content_digest
    message.graph.node[0].name = "first"  # no longer as our exporter writes it
    assert parse_exported(message.SerializeToString(deterministic=True)).format == "qdq"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda entries: entries.add(key="inputs", value="{}"), "expected 'inputs' alone"),
        (lambda entries: setattr(entries[0], "key", "note"), "metadata ['note']"),
        (lambda entries: setattr(entries[0], "value", "{}"), "has no field 'shape'"),
        (lambda entries: setattr(entries[0], "value", entries[0].value + " "), "written in another way"),
        (lambda entries: setattr(entries[0], "value", "x" * (2**20 + 1)), "more than 1048576 bytes"),
        (
            lambda entries: setattr(entries[0], "value", entries[0].value.replace("[0.5]", "[0.0]")),
            "nothing divided by 0",
        ),
    ],
)
def test_other_metadata_are_refused(change: Callable[..., object], said: str) -> None:
    model, inputs = made("convnet", "W4A4")
    message = onnx.load_model_from_string(export_file(model, tuple(inputs.shape[1:]), inputs=CONTRACT))
    change(message.metadata_props)
    with pytest.raises(ModelError) as caught:
        parse_exported(message.SerializeToString(deterministic=True))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("inputs", "mean", "deviation", "scaling"),
    [
        (torch.zeros(4, 3, 2, 2, dtype=torch.uint8), (0.5,) * 3, (0.5,) * 3, "x / 127.5 - 1"),
        (torch.zeros(4, 3, 2, 2, dtype=torch.uint8), (0.0,) * 3, (1.0,) * 3, "x / 255"),
        (torch.zeros(4, 3, 2, 2, dtype=torch.uint8), (), (), "x / 255"),
        (torch.zeros(4, 1, 2, dtype=torch.uint8), (0.0,), (1 / 255,), "x"),
        (torch.zeros(4, 1, 2), (0.25,), (2.0,), "(x - 0.25) / 2"),
        (torch.zeros(4, 2), (), (), "x"),
        (
            torch.zeros(4, 2, 2, 2, dtype=torch.uint8),
            (0.25, 0.5),
            (1.0, 0.5),
            "(x / 255 - mean) / deviation; mean 0.25; 0.5; deviation 1; 0.5",
        ),
    ],
)
def test_its_formula_is_what_a_collection_computes(
    inputs: torch.Tensor, mean: tuple[float, ...], deviation: tuple[float, ...], scaling: str
) -> None:
    stored = torch.arange(inputs.numel()).reshape(inputs.shape).to(inputs.dtype)
    collection = Collection("own", stored, torch.tensor([0, 1, 0, 1]), mean=mean, deviation=deviation)
    contract = InputContract.of(collection)
    assert contract.scaling == scaling
    each = (1, -1, *[1] * (inputs.dim() - 2))
    means, deviations = (
        torch.tensor(numbers).reshape(each) for numbers in (contract.mean, contract.deviation)
    )
    computed = (stored / contract.divide_by - means) / deviations
    torch.testing.assert_close(computed, collection.fetch(torch.arange(4)))
    assert InputContract.from_text(contract.to_text().encode()) == contract


def test_differences_are_named() -> None:
    digits = InputContract.of(load_dataset("digits"))
    with pytest.raises(
        DataError, match=r"digits gives floats .* read as \(x - 0.3053\) / 0.376; a.onnx expects bytes"
    ):
        CONTRACT.require_same(digits, "a.onnx", "digits")
    other = dataclasses.replace(CONTRACT, class_names=("cat", "eel", "Hündin", *CONTRACT.class_names[3:]))
    with pytest.raises(DataError, match="'eel' where 'Hündin' is expected"):
        CONTRACT.require_same(other, "a.onnx", "photos")
