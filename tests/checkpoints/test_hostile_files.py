"""Files that are missing, links, cut or altered: each is one ModelError that names the file, and runs no code."""

import os
import random
from pathlib import Path

import pytest
import torch

from obliq.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from obliq.errors import ModelError
from tests.checkpoints.conftest import make, provenance, settled
from tests.checkpoints.refusals import refused

FILES = ("model.json", "model.safetensors", "latent.safetensors")


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
    assert "expected a regular file" in refused(stored, file)


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
def test_every_kind_of_byte_flip(stored: Path, saved: Checkpoint, file: str) -> None:
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
            loaded = load_checkpoint(stored)
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


def test_a_pickle_in_place_of_tensors_is_not_read(stored: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (open, (str(canary), "w"))

    torch.save({"a": Evil()}, stored / "model.safetensors")
    refused(stored, "model.safetensors")
    assert not canary.exists()


def test_weights_of_another_network_are_refused(stored: Path, tmp_path: Path) -> None:
    other = make()
    other = Checkpoint(settled(other.model, (1, 8, 8), seed=5), other.blueprint, provenance())
    save_checkpoint(tmp_path / "other", other)
    (stored / "model.safetensors").write_bytes((tmp_path / "other" / "model.safetensors").read_bytes())
    assert "does not have the digest" in refused(stored, "model.safetensors")
