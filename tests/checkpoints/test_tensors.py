"""Safetensors are read only when they hold exactly what is expected, to the byte."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import safetensors.torch
import torch

from obliq.checkpoints.tensors import (
    DTYPES,
    TensorForm,
    latent_tensor_forms,
    state_from_tensors,
    state_to_tensors,
    tensor_form,
    tensor_forms,
    tensor_grids,
    tensors_from_bytes,
    tensors_to_bytes,
)
from obliq.errors import ModelError, ObliqError
from obliq.quantization import float_state, integer_state
from tests.patch.networks import saved_pair

TENSORS = {"a": torch.tensor([[1.0, -2.0]]), "b": torch.tensor(3, dtype=torch.uint8)}
FORMS = {name: tensor_form(tensor) for name, tensor in TENSORS.items()}
HEADER: dict[str, Any] = {
    "a": {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]},
    "b": {"dtype": "U8", "shape": [], "data_offsets": [8, 9]},
}
DATA = torch.tensor([1.0, -2.0]).numpy().tobytes() + b"\3"


def file_of(header: object, data: bytes = DATA, size: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if size is None else size).to_bytes(8, "little") + text + data


def with_field(name: str, field: str, value: object) -> bytes:
    return file_of(HEADER | {name: HEADER[name] | {field: value}})


def test_forms_are_sizes_and_words() -> None:
    form = tensor_form(torch.zeros(2, 3, dtype=torch.int16))
    assert (form.size, str(form)) == (12, "int16 of shape (2, 3)")


def test_every_type_is_read_back() -> None:
    for dtype in DTYPES.values():
        tensors = {
            "x": torch.ones(3, 2).to(dtype),
            "y": torch.zeros(0, dtype=dtype),
            "z": torch.ones(()).to(dtype),
            "yy": torch.zeros(0, 2, dtype=dtype),  # at the same place
        }
        text = tensors_to_bytes(tensors)
        assert text == tensors_to_bytes(dict(reversed(tensors.items())))
        read = tensors_from_bytes(text, {name: tensor_form(one) for name, one in tensors.items()})
        assert all(
            torch.equal(read[name], one) and read[name].dtype == dtype for name, one in tensors.items()
        )
    assert torch.equal(tensors_from_bytes(file_of(HEADER), FORMS)["a"], TENSORS["a"])


WRONG: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "0 bytes and a header of 0; expected a whole"),
    "seven bytes": (bytes(7), "7 bytes and a header of 0; expected a whole"),
    "no header": (bytes(8), "not readable as JSON"),
    "a header without an end": (file_of(HEADER, b"", 10**3), "a header of 1000; expected a whole"),
    "a header of a byte more": (
        file_of(HEADER, b"", len(json.dumps(HEADER)) + 1),
        f"a header of {len(json.dumps(HEADER)) + 1}; expected a whole",
    ),
    "a large header": (file_of(b" " * (2**23 + 1)), "a header of 8388609; expected a whole"),
    "the largest header": (file_of(b" " * 2**23), "not readable as JSON"),
    "a missing tensor": (file_of({"a": HEADER["a"]}), "tensor 'b' is missing; expected 2 tensors"),
    "an unknown tensor": (file_of(HEADER | {"c": HEADER["b"]}), "tensor 'c' is unknown; expected 2 others"),
    "a list": (file_of(HEADER | {"b": []}), "tensor 'b' has other fields"),
    "a field more": (with_field("b", "more", 1), "tensor 'b' has other fields"),
    "another type": (with_field("b", "dtype", "I8"), "tensor 'b' is int8 of shape ()"),
    "an unknown type": (with_field("b", "dtype", "F8"), "tensor 'b' has dtype 'F8'; expected one of BOOL"),
    "a type that is none": (with_field("b", "dtype", [1]), "tensor 'b' has dtype [1]; expected one of"),
    "another shape": (with_field("b", "shape", [1]), "tensor 'b' is uint8 of shape (1,)"),
    "a shape that is none": (with_field("b", "shape", 1), "tensor 'b' has shape 1; expected at most 8 sizes"),
    "a negative size": (with_field("b", "shape", [-1]), "tensor 'b' has shape [-1]"),
    "a size of true": (with_field("b", "shape", [True]), "tensor 'b' has shape [True]"),
    "a huge size": (with_field("b", "shape", [2**48]), "tensor 'b' has shape [281474976710656]"),
    "the largest size": (with_field("b", "shape", [2**48 - 1]), "tensor 'b' is uint8 of shape"),
    "nine sizes": (with_field("b", "shape", [1] * 9), "tensor 'b' has shape [1, 1"),
    "eight sizes": (with_field("b", "shape", [1] * 8), "tensor 'b' is uint8 of shape (1, 1"),
    "one offset": (with_field("b", "data_offsets", [8]), "tensor 'b' has offsets [8]; expected two"),
    "three offsets": (with_field("b", "data_offsets", [8, 9, 9]), "tensor 'b' has offsets [8, 9, 9]"),
    "offsets that are none": (with_field("b", "data_offsets", "89"), "tensor 'b' has offsets '89'"),
    "negative offsets": (with_field("b", "data_offsets", [-1, 9]), "tensor 'b' has offsets [-1, 9]"),
    "a gap": (with_field("b", "data_offsets", [9, 10]), "tensor 'b' lies at bytes (9, 10); expected (8, 9)"),
    "shared bytes": (
        with_field("b", "data_offsets", [7, 8]),
        "tensor 'b' lies at bytes (7, 8); expected (8, 9)",
    ),
    "more than it takes": (
        with_field("b", "data_offsets", [8, 10]),
        "lies at bytes (8, 10); expected (8, 9)",
    ),
    "cut off": (file_of(HEADER, DATA[:-1]), "so the file is cut off or something follows it"),
    "more behind it": (file_of(HEADER, DATA + b"\0"), "so the file is cut off or something follows it"),
    "not a number": (file_of(HEADER, b"\xff" * 9), "tensor 'a' holds NaN or infinity"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_exactly_expected_is_named(name: str) -> None:
    content, message = WRONG[name]
    with pytest.raises(ObliqError) as refused:
        tensors_from_bytes(content, FORMS)
    assert message in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda _: {"a": TENSORS["a"]}, "the safetensors library reads tensor 'b' differently"),
        (lambda _: TENSORS | {"b": torch.zeros(1)}, "the safetensors library reads tensor 'b' differently"),
        (lambda _: [][1], "not readable as safetensors"),
    ],
)
def test_the_library_has_the_second_word(
    answer: Callable[[bytes], object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(data: bytes) -> object:
        try:
            return answer(data)
        except IndexError as error:
            raise safetensors.SafetensorError("damaged") from error

    monkeypatch.setattr(safetensors.torch, "load", load)
    with pytest.raises(ObliqError, match=message):
        tensors_from_bytes(file_of(HEADER), FORMS)


def test_a_networks_tensors_have_the_forms_that_it_states() -> None:
    model = saved_pair()[0].model
    stored = state_to_tensors(integer_state(model), float_state(model))
    assert {name: tensor_form(one) for name, one in stored.items()} == tensor_forms(model)
    assert {kind.split("/")[0] for kind in stored} == {"codes", "scale", "float"}
    integers, floats = state_from_tensors(stored, tensor_grids(model))
    for name, one in integer_state(model).items():
        read = integers[name]
        assert (one.codes is None) == (read.codes is None)
        assert one.codes is None or torch.equal(one.codes, read.codes)
        assert torch.equal(one.scale, read.scale)
        fields = ("zero_point", "bits", "channel_axis", "signed")
        assert [getattr(one, field) for field in fields] == [getattr(read, field) for field in fields]
    assert all(torch.equal(one, floats[name]) for name, one in float_state(model).items())
    assert set(floats) == set(float_state(model))
    assert set(latent_tensor_forms(model)) == {
        name for name, grid in tensor_grids(model).items() if grid.shape
    }
    weight = next(name for name, grid in tensor_grids(model).items() if grid.shape)
    with pytest.raises(ModelError, match=f"tensor '{weight}': "):
        state_from_tensors(stored | {f"scale/{weight}": -stored[f"scale/{weight}"]}, tensor_grids(model))
    assert TensorForm(torch.float64, (2,)).size == 16
