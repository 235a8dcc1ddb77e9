"""Every change to a saved network is answered by one ModelError that names the file, and runs no code."""

import copy
import json
import os
import random
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from obliq.checkpoints import Blueprint, Saved, load
from obliq.errors import ModelError

Edit = Callable[[Callable[[dict[str, Any]], object]], Path]
FILES = ("model.json", "model.safetensors", "latent.safetensors")
FORBIDDEN_EVENTS = {
    "compile", "subprocess.Popen", "os.system", "os.exec", "socket.connect", "ctypes.dlopen",
    "pickle.find_class",
}  # fmt: skip

watched: list[str] | None = None


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if watched is not None and event in FORBIDDEN_EVENTS:
        watched.append(f"{event} {arguments[0]!r}")


sys.addaudithook(_watch)


@cache
def graphs_of_our_own() -> frozenset[str]:
    """What torch.fx compiles when it traces our own networks; the one code that loading may make."""
    global watched
    watched = []
    for architecture, shape in (("convnet", (1, 8, 8)), ("resnet20", (1, 8, 8))):
        copy.deepcopy(Blueprint(architecture=architecture, input_shape=shape, classes=3).outline())
    events, watched = frozenset(watched), None
    return events


def refused(folder: Path, file: str) -> str:
    """The message of the one error that loading ends in; anything else fails the test."""
    global watched
    allowed = graphs_of_our_own()
    modules = set(sys.modules)
    watched = []
    try:
        with pytest.raises(ModelError) as caught:
            load(folder)
        assert set(watched) <= allowed
    finally:
        watched = None
    assert set(sys.modules) == modules
    message = str(caught.value)
    assert message.startswith(f"{folder / file}: ")
    assert "\n" not in message
    assert len(message) < 1200
    return message


@pytest.mark.parametrize("file", FILES[:2])
def test_a_missing_file(stored: Path, file: str) -> None:
    (stored / file).unlink()
    assert "No such file" in refused(stored, file)


def test_a_missing_folder(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "nowhere", "model.json")


@pytest.mark.parametrize("file", FILES)
def test_links_pipes_and_folders_in_place_of_files(stored: Path, tmp_path: Path, file: str) -> None:
    content = (stored / file).read_bytes()
    (tmp_path / "elsewhere").write_bytes(content)
    (stored / file).unlink()
    (stored / file).symlink_to(tmp_path / "elsewhere")
    assert "links are not followed" in refused(stored, file)
    (stored / file).unlink()
    os.mkfifo(stored / file)
    assert "not a regular file" in refused(stored, file)
    (stored / file).unlink()
    (stored / file).mkdir()
    assert "not a regular file" in refused(stored, file)


def test_a_link_to_nothing_in_place_of_the_latent_weights(stored: Path) -> None:
    (stored / "latent.safetensors").unlink()
    (stored / "latent.safetensors").symlink_to(stored / "nothing")
    refused(stored, "latent.safetensors")


@pytest.mark.parametrize("file", FILES)
def test_truncation(stored: Path, file: str) -> None:
    content = (stored / file).read_bytes()
    lengths = [0, 1, 7, 8, 9, len(content) // 2, len(content) - 1]
    lengths += random.Random(0).sample(range(10, len(content) - 2), 4)
    for length in lengths:
        # the line break after the JSON is no loss
        if file == "model.json" and length == len(content) - 1:
            continue
        (stored / file).write_bytes(content[:length])
        refused(stored, file)


@pytest.mark.parametrize("file", FILES)
def test_bytes_added_at_the_end(stored: Path, file: str) -> None:
    with (stored / file).open("ab") as opened:
        opened.write(b"\x00" * 16)
    refused(stored, file)


@pytest.mark.parametrize("file", FILES)
def test_every_kind_of_byte_flip(stored: Path, saved: Saved, file: str) -> None:
    """Flips in the header, the JSON and the data: refused, or (in free text and latents) without effect."""
    content = (stored / file).read_bytes()
    chance = random.Random(1)
    header = 8 + int.from_bytes(content[:8], "little") if file.endswith("safetensors") else len(content)
    positions = [
        *range(8),
        *chance.sample(range(8, header), 30),
        *chance.sample(range(header, len(content) + 20), 10),
    ]
    if file == "latent.safetensors":
        positions = positions[::2]
    integers = {name: value.clone() for name, value in saved.model.state_dict().items()}
    refusals = 0
    for position in positions:
        if position >= len(content):
            continue
        flipped = bytearray(content)
        flipped[position] ^= 1 << chance.randrange(8)
        (stored / file).write_bytes(flipped)
        try:
            loaded = load(stored)
        except ModelError as error:
            assert str(error).startswith(str(stored))  # noqa: PT017
            refusals += 1
            continue
        # what is accepted differs in free text (a name, a count), white space or latent weights alone
        state = loaded.model.state_dict()
        for name, value in integers.items():
            if not (file == "latent.safetensors" and name.endswith(".weight")):
                assert torch.equal(value, state[name])
        assert file != "model.safetensors" or position < header
    assert refusals >= len(positions) // 3


def test_every_single_bit_of_the_stored_values_counts(stored: Path) -> None:
    content = (stored / "model.safetensors").read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    for position in random.Random(2).sample(range(start, len(content)), 10):
        flipped = bytearray(content)
        flipped[position] ^= 1
        (stored / "model.safetensors").write_bytes(flipped)
        refused(stored, "model.safetensors")


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
    "codes/features.4.weight", "scale/features.4.weight", "scale/network_input",
    "float/features.1.running_var",
)  # fmt: skip


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
        (put(NORM, first_element(2.0)), "has the digest of"),
        (put(SCALE, first_element(0.125)), "has the digest of"),
        (lambda tensors: tensors.clear(), "is missing"),
    ],
)  # fmt: skip
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


def test_a_pickle_in_place_of_tensors_is_not_read(stored: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (open, (str(canary), "w"))

    torch.save({"a": Evil()}, stored / "model.safetensors")
    refused(stored, "model.safetensors")
    assert not canary.exists()


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


def test_weights_of_another_network_are_refused(stored: Path, tmp_path: Path) -> None:
    from obliq.checkpoints import save
    from tests.checkpoints.conftest import make, provenance, settled

    other = make()
    other = Saved(settled(other.model, (1, 8, 8), seed=5), other.blueprint, provenance())
    save(tmp_path / "other", other)
    (stored / "model.safetensors").write_bytes((tmp_path / "other" / "model.safetensors").read_bytes())
    assert "has the digest of" in refused(stored, "model.safetensors")
