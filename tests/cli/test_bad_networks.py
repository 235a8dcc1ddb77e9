"""Networks that are damaged, or do not belong where they are named, end in one clear line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from obliq.checkpoints.request_tag import bind_request
from obliq.checkpoints.run_folder import load_run
from obliq.data.request_file import load_request
from obliq.workflow.pipeline import same_partition
from tests.cli.conftest import SHORT, Said, Way, pictures
from tests.cli.refusals import content, nothing_written, refused

Obliq = Callable[..., Said]


def change_json(folder: Path, **changes: object) -> None:
    file = folder / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def truncate(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def corrupt(folder: Path) -> None:
    file = folder / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-5] ^= 0xFF
    file.write_bytes(data)


def rename_tensor(folder: Path) -> None:
    file = folder / "model.safetensors"
    data = file.read_bytes()
    name = next(iter(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]))).encode()
    file.write_bytes(data.replace(name, b"z" * len(name), 1))


DAMAGES: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "corrupted": (corrupt, ("model.safetensors",)),
    "truncated": (truncate, ("model.safetensors",)),
    "renamed tensor": (rename_tensor, ("model.safetensors", "is missing")),
    "no tensors": (lambda folder: (folder / "model.safetensors").unlink(), ("model.safetensors",)),
    "no document": (lambda folder: (folder / "model.json").unlink(), ("model.json",)),
    "empty document": (lambda folder: (folder / "model.json").write_text(""), ("model.json", "JSON")),
    "newer format": (lambda folder: change_json(folder, version=99), ("newer Obliq", "99")),
    "other format": (
        lambda folder: change_json(folder, format="x"),
        ('format is "x"; expected "obliq-network"',),
    ),
    "unknown field": (lambda folder: change_json(folder, extra=1), ("extra",)),
    "damaged record": (lambda folder: (folder / "trace.json").write_text("[1"), ("trace.json",)),
    "damaged request": (lambda folder: (folder / "request.json").write_text("{}"), ("request.json",)),
    "nothing there": (shutil.rmtree, ("there is no folder",)),
}


@pytest.mark.parametrize(("damage", "words"), DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_networks(
    damage: Callable[[Path], object], words: tuple[str, ...], obliq: Obliq, own_way: Way, tmp_path: Path
) -> None:
    damage(own_way.original)
    before = content(tmp_path)
    refused(obliq("show", own_way.original), *words)
    refused(obliq("unlearn", own_way.original, "--forget", "class=1", "--out", tmp_path / "x", "oeu"), *words)
    refused(obliq("audit", own_way.original, own_way.unlearned, "--out", tmp_path / "x"), *words)
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    "recipe", [{"epochs": "many"}, {"epoch": 3}, {"epochs": 3.5}], ids=["text", "unknown", "part"]
)
def test_a_recipe_that_cannot_be_followed(recipe: dict[str, object], obliq: Obliq, own_way: Way) -> None:
    provenance = json.loads((own_way.original / "model.json").read_text())["provenance"]
    change_json(own_way.original, provenance=provenance | {"recipe": provenance["recipe"] | recipe})
    out = own_way.original.parent / "x"
    refused(obliq("retrain", own_way.original, "--forget", "class=1", "--out", out), "epoch")
    assert not out.exists()


def test_data_that_changed_since(obliq: Obliq, own_way: Way, tmp_path: Path) -> None:
    data = tmp_path / "mine.npz"
    np.savez(data, **pictures())
    original = tmp_path / "mine"
    assert obliq("train", f"npz:{data}", "--out", original, *SHORT).status == 0
    np.savez(data, **pictures(seed=1))
    words = ("--forget", "class=1", "--out", tmp_path / "x")
    refused(obliq("unlearn", original, *words, "oeu"), "not what the network was trained on")
    assert not (tmp_path / "x").exists()


def test_diverging_unlearning(obliq: Obliq, way: Way, tmp_path: Path) -> None:
    words = ("unlearn", way.original, "--forget", "class=1", "--out", tmp_path / "x", "fine-tune")
    refused(obliq(*words, "--learning-rate", "1e30"), "became", "lower rate")
    nothing_written(tmp_path)


def test_unlearning_what_unlearned_already(obliq: Obliq, own_way: Way, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "x")
    again = ("--forget", f"subject={own_way.person}", *out)
    refused(obliq("unlearn", own_way.unlearned, *again, "oeu"), "all 12 samples", "forgotten before")
    same = ("--forget", f"request={own_way.unlearned / 'request.json'}", *out)
    refused(obliq("unlearn", own_way.unlearned, *same, "oeu"), "was answered before")
    refused(obliq("retrain", own_way.unlearned, *again), "only the original records how it was trained")
    known = ("--forgotten", own_way.unlearned / "request.json")
    refused(obliq("unlearn", own_way.original, *again, *known, "oeu"), "has forgotten nothing")
    (own_way.unlearned / "request.json").rename(tmp_path / "elsewhere.json")
    words = ("unlearn", own_way.unlearned, "--forget", "class=1", *out)
    refused(obliq(*words, "oeu"), "answers 1 request", "not at hand", "--forgotten FILE")
    kept = ("--forgotten", tmp_path / "elsewhere.json")
    assert obliq(*words, *kept, "fine-tune", "--epochs", 1).status == 0


class TestAudit:
    def test_networks_in_the_wrong_place(self, obliq: Obliq, way: Way, tmp_path: Path) -> None:
        out = ("--out", tmp_path / "x")
        original, unlearned, retrained = way.folders
        refused(obliq("audit", original, *out), "networks to audit: 1; expected the original")
        refused(obliq("audit", *out), "networks to audit: 0")
        refused(obliq("audit", unlearned, original, *out), "is unlearned; expected original")
        refused(obliq("audit", original, retrained, *out), "is retrained; expected unlearned")
        refused(obliq("audit", original, original, *out), "is original; expected unlearned")
        wrong = obliq("audit", original, unlearned, "--retrained", unlearned, *out)
        refused(wrong, "is unlearned; expected retrained")
        refused(obliq("audit", original, unlearned, unlearned, *out), "names that differ")
        refused(obliq("audit", original, unlearned, "--show-forgotten", -1, *out), "show_forgotten -1")
        nothing_written(tmp_path)

    def test_a_name_that_is_taken(self, obliq: Obliq, own_way: Way, tmp_path: Path) -> None:
        taken = tmp_path / "inner" / "retrained"
        shutil.copytree(own_way.unlearned, taken)
        said = obliq("audit", own_way.original, own_way.unlearned, taken, "--out", tmp_path / "x")
        refused(said, "names that differ")

    def test_a_network_from_another_original(self, obliq: Obliq, way: Way, tmp_path: Path) -> None:
        other = tmp_path / "other"
        assert obliq("train", f"npz:{way.data}", "--out", other, *SHORT, "--momentum", "0.5").status == 0
        refused(obliq("audit", other, way.unlearned, "--out", tmp_path / "x"), "not made from this original")
        nothing_written(tmp_path, "other")

    def test_a_network_for_another_request(self, obliq: Obliq, way: Way, tmp_path: Path) -> None:
        other = tmp_path / "other"
        assert obliq("retrain", way.original, "--forget", "class=1", "--out", other).status == 0
        said = obliq("audit", *way.folders[:2], "--retrained", other, "--out", tmp_path / "x")
        refused(said, "another request")

    def test_without_the_request(self, obliq: Obliq, own_way: Way, tmp_path: Path) -> None:
        out = ("--out", tmp_path / "x")
        (own_way.retrained / "request.json").unlink()
        said = obliq("audit", *own_way.folders[:2], "--retrained", own_way.retrained, *out)
        refused(said, "retrained comes without a request")
        (own_way.unlearned / "request.json").unlink()
        refused(obliq("audit", *own_way.folders[:2], *out), "comes without request.json")
        assert obliq("show", own_way.unlearned).status == 0

    def test_a_request_that_was_exchanged(self, obliq: Obliq, own_way: Way, tmp_path: Path) -> None:
        shutil.copy(own_way.retrained / "request.json", own_way.unlearned / "request.json")
        said = obliq("audit", *own_way.folders[:2], "--out", tmp_path / "x")
        refused(said, "not the request that the network in the same folder answers")

    def test_a_request_whose_digest_was_computed_again(
        self, obliq: Obliq, own_way: Way, tmp_path: Path
    ) -> None:
        """The salt lies in the request, so only a key from elsewhere shows that it was exchanged."""
        key, file = tmp_path / "key", own_way.unlearned / "request.json"
        key.write_bytes(bytes(32))
        key.chmod(0o600)
        request = load_request(file)
        bind_request(own_way.unlearned, request, bytes(32))
        parts = same_partition(load_run(own_way.original).checkpoint, None)
        others = [int(index) for index in parts.train.indices if int(index) not in request.ids][:12]
        forged = parts.forgetting(torch.tensor(others), salt=bytes.fromhex(request.salt))
        file.write_text(json.dumps(json.loads(file.read_text()) | {"ids": others, "digest": forged.digest}))
        document = own_way.unlearned / "model.json"
        document.write_text(document.read_text().replace(request.digest, forged.digest))
        audit = ("audit", own_way.original, own_way.unlearned, "--out")
        plain = obliq(*audit, tmp_path / "plain")
        assert (plain.status, "not authenticated: nothing shows" in plain.err) == (0, True)
        refused(
            obliq(*audit, tmp_path / "x", "--request-key", key), "belongs to another key, another request"
        )

    def test_a_request_of_other_samples(self, obliq: Obliq, own_way: Way, tmp_path: Path) -> None:
        file = own_way.unlearned / "request.json"
        request = json.loads(file.read_text())
        file.write_text(json.dumps(request | {"ids": request["ids"][:-1]}))
        refused(obliq("audit", *own_way.folders[:2], "--out", tmp_path / "x"), "digest")
