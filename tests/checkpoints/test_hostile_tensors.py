"""Tensors and headers that do not fit the network that model.json describes."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from tests.checkpoints.refusals import refused


def change_tensors(stored: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = safetensors.torch.load((stored / "model.safetensors").read_bytes())
    change(tensors)
    (stored / "model.safetensors").write_bytes(safetensors.torch.save(tensors))


def put(
    name: str, value: Callable[[torch.Tensor], torch.Tensor]
) -> Callable[[dict[str, torch.Tensor]], None]:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors[name] = value(tensors[name]).contiguous()

    return change


def first_element(number: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def change(tensor: torch.Tensor) -> torch.Tensor:
        tensor = tensor.clone()
        tensor.view(-1)[0] = number
        return tensor

    return change


CODES, SCALE, STEP, NORM = (
    "codes/features.4.weight",
    "scale/features.4.weight",
    "scale/network_input",
    "float/features.1.running_var",
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop(CODES), f"'{CODES}' is missing"),
        (lambda tensors: tensors.pop(NORM), f"'{NORM}' is missing"),
        (lambda tensors: tensors.update({"codes/other": tensors.pop(CODES)}), f"'{CODES}' is missing"),
        (lambda tensors: tensors.update({"../evil": torch.ones(1)}), "'../evil' is unknown"),
        (lambda tensors: tensors.update({"a" * 5000: torch.ones(1)}), "is unknown"),
        (lambda tensors: tensors.update({"a\nb\x1b[31m": torch.ones(1)}), r"'a\nb\x1b[31m' is unknown"),
        (put(CODES, lambda codes: codes[:-1]), f"'{CODES}' is uint8 of shape (2303,); expected"),
        (put(CODES, lambda codes: codes.view(2, -1)), "expected uint8 of shape (2304,)"),
        (put(CODES, lambda codes: codes.to(torch.int8)), "is int8"),
        (put(CODES, first_element(0x88)), "'features.4.weight': codes lie in -8.."),
        (put(SCALE, lambda scale: scale[:-1]), f"'{SCALE}' is float32 of shape (31,); expected"),
        (put(SCALE, lambda scale: scale.double()), "is float64"),
        (put(SCALE, first_element(float("nan"))), "NaN or infinity"),
        (put(SCALE, first_element(float("inf"))), "NaN or infinity"),
        (put(SCALE, first_element(0.0)), "a scale is 0.0; expected positive"),
        (put(SCALE, first_element(-0.5)), "a scale is -0.5; expected positive"),
        (put(SCALE, first_element(1e-42)), "not denormal"),
        (put(STEP, lambda step: step.view(1)), "expected float32 of shape ()"),
        (put(STEP, first_element(-1.0)), "'network_input': a scale is -1.0"),
        (put(NORM, first_element(float("nan"))), "NaN or infinity"),
        (put(NORM, first_element(2.0)), "does not have the digest"),
        (put(SCALE, first_element(0.125)), "does not have the digest"),
        (lambda tensors: tensors.clear(), "is missing"),
    ],
)
def test_tensors_that_do_not_fit(
    stored: Path, change: Callable[[dict[str, torch.Tensor]], object], message: str
) -> None:
    change_tensors(stored, change)
    assert message in refused(stored, "model.safetensors")


def with_header(stored: Path, change: Callable[[str], str | bytes]) -> None:
    content = (stored / "model.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    changed = change(content[8 : 8 + length].decode())
    header = changed if isinstance(changed, bytes) else changed.encode()
    (stored / "model.safetensors").write_bytes(
        len(header).to_bytes(8, "little") + header + content[8 + length :]
    )


def entry_of(name: str, **fields: object) -> Callable[[str], str]:
    def change(header: str) -> str:
        values = json.loads(header)
        values[name].update(fields)
        return json.dumps(values)

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.replace("[", "{"),
        lambda header: header.replace('"F32"', '"F99"', 1),
        lambda header: header.replace('"F32"', "3", 1),
        lambda header: header.replace('"F32"', '["F32"]', 1),
        lambda header: header.rstrip()[:-1] + ',"codes/features.4.weight":{}}',
        lambda header: header.rstrip()[:-1] + ',"__metadata__":{"a":"b"}}',
        lambda header: header.encode().replace(b"features", b"\xff\xfe\x00\x01abc", 1),
        lambda header: header.replace("features", "\\ud800", 1),
        lambda header: "[" * 100_000,
        lambda header: '{"a":' * 50_000 + "1" + "}" * 50_000,
        lambda header: "[]",
        lambda header: "null",
        lambda header: "",
        lambda header: '{"a":' + "9" * 6000 + "}",
        entry_of(STEP, shape=[0]),
        entry_of(STEP, shape=[-1, -1]),
        entry_of(STEP, shape=[1.0]),
        entry_of(STEP, shape=[True]),
        entry_of(STEP, shape=[2**63, 2**63]),
        entry_of(STEP, shape=[1] * 9),
        entry_of(STEP, shape=None),
        entry_of(STEP, extra=1),
        entry_of(STEP, data_offsets=[0, 4]),
        entry_of(STEP, data_offsets=[0, 2**62]),
        entry_of(STEP, data_offsets=[4, 0]),
        entry_of(STEP, data_offsets=[-4, 0]),
        entry_of(STEP, data_offsets=[0]),
        entry_of(STEP, data_offsets="ab"),
    ],
)
def test_headers_that_do_not_fit(stored: Path, change: Callable[[str], str | bytes]) -> None:
    before = (stored / "model.safetensors").read_bytes()
    with_header(stored, change)
    assert (stored / "model.safetensors").read_bytes() != before
    refused(stored, "model.safetensors")


@pytest.mark.parametrize("length", [0, 1, 2**23 + 1, 2**32, 2**63, 2**64 - 1])
def test_header_lengths_that_lie(stored: Path, length: int) -> None:
    content = (stored / "model.safetensors").read_bytes()
    (stored / "model.safetensors").write_bytes(length.to_bytes(8, "little") + content[8:])
    refused(stored, "model.safetensors")


def test_latent_weights_must_round_to_the_codes(stored: Path) -> None:
    tensors = safetensors.torch.load((stored / "latent.safetensors").read_bytes())
    name = "features.4.weight"

    def with_changed(value: torch.Tensor) -> str:
        changed = {**tensors, name: value.contiguous()}
        (stored / "latent.safetensors").write_bytes(safetensors.torch.save(changed))
        return refused(stored, "latent.safetensors")

    assert "does not round to the codes" in with_changed(-tensors[name])
    assert "NaN or infinity" in with_changed(tensors[name] * np.nan)
    assert "expected float32 of shape (32, 16, 3, 3)" in with_changed(tensors[name].flatten())
    assert "is float64" in with_changed(tensors[name].double())
