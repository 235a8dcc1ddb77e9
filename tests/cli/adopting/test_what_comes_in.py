"""The network that `obliq adopt` writes is the one that came in, or its user is told why not."""

import json
import shutil
from pathlib import Path

import numpy as np
import torch

from obliq import Recipe, calibrate, quantize, train, weights_digest
from tests.cli.adopting.elsewhere import OWN, Elsewhere, Obliq, network, trained_by_hand
from tests.cli.conftest import pictures


def test_the_network_that_came_in_is_the_one_that_is_measured(
    obliq: Obliq, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    digests = set()
    for number, given in enumerate(
        (
            ("--arch", "adoptednet:network", "--weights", "weights.pt"),
            ("--network", "adoptednet:trained", "--weights", "included"),
        )
    ):
        said = obliq(*elsewhere.words, *given, "--out", tmp_path / str(number), "--json")
        assert said.status == 0, said.err
        values = json.loads(said.out)
        assert values["accuracy"]["FP32"] == elsewhere.accuracy
        assert abs(values["accuracy"]["W8A8"]["train"] - elsewhere.accuracy["train"]) < 2
        assert values["counts"] == {"train": 90, "holdout": 25, "test": 29}
        digests.add(values["weights_digest"])
        assert obliq("show", tmp_path / str(number), "--arch", given[1]).status == 0
    assert len(digests) == 1
    shutil.copy("weights.pt", tmp_path / "old.bin")
    found = json.loads(obliq("residue", tmp_path, "--only", "weights", "--json").out)["found"]
    assert [one["file"] for one in found] == ["old.bin"]
    said = obliq(
        *elsewhere.words, *OWN, "--weights", "weights.pt", "--fine-tune", 1, "--out", tmp_path / "tuned"
    )
    for words in ("accuracy, %", "most frequent class", "FP32", "W8A8", "fine-tuned", "trained elsewhere"):
        assert words in said.out
    assert "WARNING" not in said.out
    assert max(map(len, said.out.partition("original network")[0].splitlines())) <= 80
    shown = obliq("show", tmp_path / "tuned", *OWN).out
    assert "weights.pt, trained elsewhere" in shown
    assert "accuracy, fine-tuned" in shown
    document = json.loads((tmp_path / "0" / "model.json").read_text())
    assert document["provenance"]["recipe"] is None
    assert document["provenance"]["loaded"]["source"] == "weights.pt"


def test_a_network_that_is_right_nowhere_is_warned_about(
    obliq: Obliq, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    state = network().state_dict()
    torch.save({name: torch.zeros_like(value) for name, value in state.items()}, tmp_path / "zero.pt")
    given = ("--arch", "adoptednet:network", "--weights", tmp_path / "zero.pt")
    said = obliq(*elsewhere.words, *given, "--out", tmp_path / "o")
    assert said.status == 0
    assert "WARNING: the network as it came answers" in said.out
    assert "scaled otherwise" in said.out


def test_a_quantized_network_of_the_library_keeps_its_steps(
    obliq: Obliq, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    model = network()
    model.load_state_dict(torch.load("weights.pt", weights_only=True))
    data = pictures()
    pair = (torch.from_numpy(data["x"]), torch.from_numpy(data["y"]))
    quantized = calibrate(quantize(model.eval(), "W3A4", input_shape=(1, 6, 6)), pair)
    quantized = train(quantized, pair, Recipe(epochs=1), progress=False)
    torch.save(quantized.state_dict(), tmp_path / "quantized.pt")
    words = (*elsewhere.words, *OWN, "--weights", tmp_path / "quantized.pt", "--bits")
    said = obliq(*words, "W3A4", "--out", tmp_path / "o", "--json")
    values = json.loads(said.out)
    assert values["weights_digest"] == weights_digest(quantized)
    assert list(values["accuracy"]) == ["FP32", "W3A4"]
    assert any("--bits must be those of its training" in note for note in values["notes"])
    assert "expected the bits of its training" in obliq(*words, "FP32", "--out", tmp_path / "x").err


def test_an_audit_without_test_samples_names_what_it_leaves_out(
    obliq: Obliq, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    original, unlearned, audit = (tmp_path / name for name in ("original", "unlearned", "audit"))
    words = ("adopt", "npz:data.npz", *OWN, "--weights", "weights.pt", "--trained-on", "all", "--threads", 1)
    assert obliq(*words, "--out", original).status == 0
    forget = ("--forget", "class=1", "--threads", 1, "--out", unlearned)
    assert obliq("unlearn", original, *OWN, *forget, "oeu", "--epochs", 1).status == 0
    said = obliq("audit", original, unlearned, *OWN, "--out", audit)
    assert said.status == 0, said.err
    assert "WARNING: no test samples were given, so TA, MIA and AUC are left out" in said.out
    assert said.out.split()[:2] == ["UA", "RA"]
    first = json.loads((audit / "audit.json").read_text())["entries"][1]
    assert first["unlearning_accuracy"] is not None
    missing = ("test_accuracy", "mia_svc_confidence", "auc_forget_vs_test", "entropy_test")
    assert [first[name] for name in missing] == [None] * len(missing)
    assert first["verdict"]["word"] == "INCONCLUSIVE"
    assert "Without test samples, forgotten samples cannot be compared" in (audit / "report.html").read_text()
    assert (
        obliq("export", unlearned, *OWN, "--out", tmp_path / "u.onnx", "--check", "npz:data.npz").status == 0
    )


def test_bytes_that_were_scaled_otherwise_in_training_are_noticed(
    obliq: Obliq, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    data = pictures()
    pixels = (data["x"] * 20 + 128).clip(0, 255).astype(np.uint8)
    np.savez(tmp_path / "bytes.npz", x=pixels, y=data["y"])
    inputs, labels = torch.from_numpy(pixels).float() / 255, torch.from_numpy(data["y"])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = trained_by_hand(network(), inputs, labels)
    torch.save(model.state_dict(), tmp_path / "bytes.pt")
    words = (*OWN, "--weights", tmp_path / "bytes.pt", "--trained-on", "all", "--threads", 1, "--out")
    wrong = obliq("adopt", f"npz:{tmp_path / 'bytes.npz'}", *words, tmp_path / "wrong")
    assert "bytes.npz,scale=0..1" in wrong.out.partition("WARNING")[2]
    right = obliq("adopt", f"npz:{tmp_path / 'bytes.npz'},scale=0..1", *words, tmp_path / "right")
    assert right.status == 0
    assert "WARNING" not in right.out


def test_refusals_come_before_anything_is_written(obliq: Obliq, elsewhere: Elsewhere, tmp_path: Path) -> None:
    own, fits = ("--arch", "adoptednet:network"), ("--weights", "weights.pt")
    for words, message in (
        ((*own, "--weights", "nothing.pt"), "nothing.pt: cannot be read"),
        (("--arch", "convnet", *fits), "weights.pt does not fit convnet"),
        (("--arch", "adoptednet:missing", *fits), "cannot import 'adoptednet:missing'"),
        (("--arch", "adoptednet:small", "--weights", "included"), "distinguishes 2 classes"),
        ((*own, *fits, "--fine-tune", -1), "fine_tune=-1"),
        ((*own, *fits, "--bits", "W9A9"), "expected a whole number from 2 to 8"),
        ((*own, *fits, "--holdout", "ids=train.txt"), "is in both training and holdout"),
    ):
        said = obliq(*elsewhere.words, *words, "--out", tmp_path / "o")
        assert said.status == 1, words
        assert message in said.err.splitlines()[-1]
        assert not (tmp_path / "o").exists()
