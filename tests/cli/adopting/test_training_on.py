"""Training by Obliq on what was begun or divided elsewhere."""

import json
from pathlib import Path

import torch

from tests.cli.adopting.elsewhere import OWN, Obliq, network


def test_training_from_loaded_weights(obliq: Obliq, tmp_path: Path) -> None:
    short = ("--epochs", 1, "--learning-rate", 0.001, "--threads", 1)
    words = ("train", "npz:data.npz", *short, "--bits", "W8A8")
    refused = obliq(*words, "--arch", "adoptednet:trained", "--out", tmp_path / "x")
    assert refused.status == 1
    assert "`obliq adopt --weights included`" in refused.err
    assert "`obliq train --from-weights included`" in refused.err
    original, retrained = tmp_path / "original", tmp_path / "retrained"
    words = (*words, "--layer-bits", "0=W6A6")
    said = obliq(*words, *OWN, "--from-weights", "weights.pt", "--out", original, "--json")
    assert json.loads(said.out)["test_accuracy"] > 80  # of one epoch at a low rate
    retrain = ("retrain", original, *OWN, "--forget", "class=1", "--threads", 1, "--out", retrained)
    assert "began with weights from weights.pt; expected --from-weights" in obliq(*retrain).err
    torch.save(network().state_dict(), tmp_path / "other.pt")
    assert "has digest" in obliq(*retrain, "--from-weights", tmp_path / "other.pt").err
    assert obliq(*retrain, "--from-weights", "weights.pt").status == 0
    shown = obliq("show", original, *OWN).out
    assert "weights.pt, fine-tuned" in shown
    assert "network W8A8, 0=W6A6, input 1x6x6" in shown
    assert "network W8A8, 0=W6A6" in obliq("show", retrained, *OWN).out
    misspelt = obliq(*words[:-1], "1.conv=W6A6", *OWN, "--out", tmp_path / "x")
    assert "there is no layer with weights at '1.conv'" in misspelt.err


def test_training_without_holdout_and_test(obliq: Obliq, tmp_path: Path) -> None:
    short = ("--epochs", 1, "--threads", 1)
    said = obliq(
        "train", "npz:data.npz", "--holdout", 0, "--test", 0, "--out", tmp_path / "o", *short, "--json"
    )
    assert said.status == 0, said.err
    values = json.loads(said.out)
    assert values["counts"] == {"train": 144, "holdout": 0, "test": 0}
    assert "test_accuracy" not in values
    named = ("--holdout", "ids=holdout.txt", "--test", "ids=test.txt")
    exact = obliq("train", "npz:data.npz", *named, "--out", tmp_path / "n", *short, "--json")
    assert json.loads(exact.out)["counts"] == {"train": 90, "holdout": 25, "test": 29}
