"""No file that may leave the machine names a person, a sample to forget, a path, a user or a host."""

import base64
import getpass
import json
import platform
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from obliq.checkpoints import load_checkpoint
from obliq.cli import main
from tests.cli.conftest import SHORT, Said, pictures

Obliq = Callable[..., Said]
PERSON, DISEASE = "anna-lindqvist", "borreliosis"
FORGOTTEN = 12
PRIVATE = ("request.json", "source.json", "latent.safetensors", "trace.json")
"""Files of a run folder that never ship."""
INTERNAL = ("audit.json", "report.html")
"""They state how many samples were forgotten, and a certificate is handed on instead."""
STATING = {"forget", "count", "forget_accuracy", "unlearning_accuracy", "class_accuracy"}
"""Fields with that number, or with a share of the samples, from which it could be computed."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that the verbs write, for a person in data whose path is personal, too."""
    pytest.importorskip("cryptography", reason="certificates are signed: extra patch")
    from tests.record.certificate.cases import ed25519_key, write_signing_key

    folder = tmp_path_factory.mktemp("runs")
    data = tmp_path_factory.mktemp("home") / PERSON / f"{DISEASE}.npz"
    data.parent.mkdir()
    values = pictures()
    people = np.array([PERSON, *(f"p{number}" for number in range(11))])[np.arange(144) // 12]
    ids = np.array([f"{person}-visit-{number}" for number, person in enumerate(people)])
    np.savez(data, x=values["x"], y=values["y"], subject=people, id=ids)

    def run(*words: object) -> None:
        assert main([str(word) for word in words]) == 0, words

    def at(name: str) -> Path:
        return folder / name

    key = data.with_name("key")
    key.write_bytes(bytes(range(32)))
    key.chmod(0o600)
    for seed in range(50):  # until the person is in training
        shutil.rmtree(at("original"), ignore_errors=True)
        run("train", f"npz:{data}", "--out", at("original"), "--seed", seed, *SHORT)
        request = ("--forget", f"subject={PERSON}", "--threads", 1, "--request-key", key, "--out")
        if (
            main(
                [
                    "unlearn",
                    *map(str, (at("original"), *request, at("unlearned"))),
                    "--accept",
                    "oeu",
                    "--epochs",
                    "1",
                ]
            )
            == 0
        ):
            break
    run("retrain", at("original"), *request, at("retrained"))
    original, weights = load_checkpoint(at("original")), data.with_name("weights.pt")
    torch.save(original.model.state_dict(), weights)
    adopt = (
        "adopt",
        f"npz:{data}",
        "--arch",
        "convnet",
        "--weights",
        weights,
        "--bits",
        original.blueprint.bits,
    )
    trained = ",".join([PERSON, *(f"p{number}" for number in range(8))])
    run(*adopt, "--trained-on", f"subject={trained}", "--threads", 1, "--out", at("adopted"))
    audit = ("audit", *map(at, ("original", "unlearned")), "--retrained", at("retrained"))
    run(*audit, "--request-key", key, "--out", at("audit"))
    run("export", at("original"), "--out", at("old.onnx"))
    check = ("--check", f"npz:{data}")
    run("export", at("unlearned"), "--out", at("new.onnx"), *check)
    run("export", at("unlearned"), "--out", at("compact.onnx"), "--form", "compact", *check)
    run("export", at("unlearned"), "--out", at("float.onnx"), "--form", "float", *check)
    run("export", at("unlearned"), "--out", at("new.c"), "--to", "c")
    run("export", at("unlearned"), "--out", at("deployed"), "--to", "network")
    run("patch", "make", "--plain", at("old.onnx"), at("new.onnx"), "--out", at("forget.patch"))
    run("patch", "make", "--plain", at("original"), at("unlearned"), "--out", at("folders.patch"))
    run("patch", "apply", at("old.onnx"), at("forget.patch"), "--out", at("device.onnx"))
    run("patch", "apply", at("original"), at("folders.patch"), "--out", at("device"))
    words = (at("old.onnx"), "--data", f"npz:{data}", "--division-seed", seed, *request, at("in-file"))
    run("unlearn", *words, "--accept", "oeu", "--epochs", 1)
    signer = data.with_name("private.pem")
    write_signing_key(signer, ed25519_key())
    certificate = ("certificate", "make", at("audit"), "--shipped", at("new.onnx"), "--key", signer)
    run(*certificate, "--case", "C-1", "--operator", "A. Example", "--out", at("case.cert.json"))
    run("certificate", "page", at("case.cert.json"), "--out", at("case.html"))
    return folder


def ships(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.name not in PRIVATE:
            yield file


def test_no_file_that_ships_names_anybody_or_any_place(written: Path) -> None:
    words = [PERSON, DISEASE, "visit", str(written), "pytest-of", str(Path.home())]
    words += [name for name in (getpass.getuser(), platform.node()) if len(name) > 4]
    found = [
        (file.name, word) for file in ships(written) for word in words if word.encode() in file.read_bytes()
    ]
    assert found == []
    assert len(list(ships(written))) > 25


def test_the_search_finds_what_is_planted(written: Path) -> None:
    private = [file for file in written.rglob("*") if file.name in ("request.json", "source.json")]
    assert any(PERSON.encode() in file.read_bytes() for file in private)
    assert all(file.stat().st_mode & 0o077 == 0 for file in private)


def numbers_in(value: object, name: str = "") -> Iterator[tuple[str, int | float]]:
    """Every number in a document, with the name of its field; a signed document is looked into."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from numbers_in(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers_in(inner, name)
    elif name == "payload" and isinstance(value, str):
        yield from numbers_in(json.loads(base64.b64decode(value)))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, value


def test_only_internal_documents_state_how_many_samples_were_forgotten(written: Path) -> None:
    """Neither the number, nor a share of the forgotten samples, from which it could be computed."""
    seen = set()
    for file in ships(written):
        if file.suffix != ".json":
            continue
        found = dict(numbers_in(json.loads(file.read_text())))
        stating = STATING & found.keys()
        assert bool(stating) == (file.name in INTERNAL), (file.name, stating)
        seen.add(file.name)
    assert seen >= {"model.json", "files.json", "audit.json", "case.cert.json", "new.onnx.parity.json"}
    assert json.loads((written / "audit" / "audit.json").read_text())["counts"]["forget"] == FORGOTTEN
    assert f"{FORGOTTEN} forgotten samples" in (written / "audit" / "report.html").read_text()
    assert "forgotten samples" not in (written / "case.html").read_text().partition("not covered")[0]


def test_how_many_samples_were_forgotten_is_in_no_record_of_a_network(written: Path) -> None:
    records = [file for file in ships(written) if file.name in ("model.json", "shipped.json")]
    assert len(records) == 7
    for file in records:
        provenance = json.loads(file.read_text())["provenance"]
        assert not {"forget", "retain"} & set(provenance["counts"])
        assert provenance["data"] == "own data (npz)"


def test_folders_that_ship_hold_nothing_private(written: Path) -> None:
    for name in ("deployed", "device"):
        assert sorted(file.name for file in (written / name).iterdir()) == [
            "files.json",
            "model.json",
            "model.safetensors",
        ]


def test_without_the_private_file_the_data_are_asked_for(written: Path, tmp_path: Path, obliq: Obliq) -> None:
    source = json.loads((written / "original" / "source.json").read_text())["data"]
    original = Path(shutil.copytree(written / "original", tmp_path / "original"))
    (original / "source.json").unlink()
    words = ("retrain", original, "--forget", "class=0", "--threads", 1, "--out", tmp_path / "again")
    said = obliq(*words)
    assert said.status == 1
    assert "its data are called 'own data (npz)'" in said.err
    assert obliq(*words, "--data", source).status == 0
    check = ("export", original, "--out", tmp_path / "n.onnx", "--check", source)
    assert obliq(*check).status == 0  # found by content
    proof = json.loads((tmp_path / "n.onnx.parity.json").read_text())
    assert list(proof["checks"]) == ["own data (npz)"]


@pytest.mark.parametrize("label", ["digits", "npz:x", "", "two\nlines", "x" * 81])
def test_what_is_no_label(label: str, obliq: Obliq, tmp_path: Path) -> None:
    said = obliq("train", "digits", "--label", label, "--out", tmp_path / "x")
    assert "expected 1 to 80 printable characters" in said.err


def test_networks_of_earlier_versions_are_read(written: Path, tmp_path: Path, obliq: Obliq) -> None:
    original = Path(shutil.copytree(written / "original", tmp_path / "original"))
    source = json.loads((original / "source.json").read_text())["data"]
    (original / "source.json").unlink()
    document = json.loads((original / "model.json").read_text())
    document["provenance"]["data"] = source
    document["version"] = 1
    (original / "model.json").write_text(json.dumps(document))
    words = ("retrain", original, "--forget", "class=0", "--threads", 1, "--out", tmp_path / "again")
    assert obliq(*words).status == 0
    assert source not in (tmp_path / "again" / "model.json").read_text()
