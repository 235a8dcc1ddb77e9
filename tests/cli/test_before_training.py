"""What can be known before a long computation is checked before it."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from obliq.training import memory
from tests.cli.conftest import SHORT, Said, Way
from tests.cli.refusals import nothing_written, refused

Obliq = Callable[..., Said]


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of training fails the test."""

    def fit(*arguments: object) -> None:
        pytest.fail("training has begun")

    monkeypatch.setattr("obliq.workflow.pipeline.fit", fit)
    monkeypatch.setattr("obliq.methods.retrain.fit", fit)


@pytest.mark.usefixtures("no_training")
class TestBeforeTraining:
    def test_the_place_of_the_result(
        self, obliq: Obliq, way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").write_text("x")
        train = ("train", f"npz:{way.data}", *SHORT, "--out")
        retrain = ("retrain", way.original, "--forget", "class=1", "--out")
        for words in (train, retrain):
            refused(obliq(*words, tmp_path / "file" / "a" / "out"), "cannot write", "Not a directory")
        monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=2**22 + 1))
        refused(obliq(*retrain, tmp_path / "out"), f"4 MiB are free in {tmp_path}", "expected at least")
        monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=2**20))
        refused(
            obliq(*train, tmp_path / "new" / "out"), f"1 MiB are free in {tmp_path}; expected at least 4 MiB"
        )
        monkeypatch.setattr("os.access", lambda place, mode: False)
        refused(obliq(*train, tmp_path / "out"), "Permission denied")
        nothing_written(tmp_path, "file")

    def test_the_memory_of_a_step(
        self, obliq: Obliq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        np.savez(tmp_path / "photos.npz", x=np.zeros((40, 3, 160, 160), np.uint8), y=np.arange(40) % 2)
        monkeypatch.setattr(memory, "available_memory", lambda device: 2**26)
        said = obliq("train", f"npz:{tmp_path / 'photos.npz'}", "--out", tmp_path / "out")
        refused(
            said, "a step on 28 samples of 3 x 160 x 160 takes about", "expected --batch-size 16, or smaller"
        )
        nothing_written(tmp_path, "photos.npz")

    def test_a_step_of_unlearning_and_of_retraining(
        self, obliq: Obliq, way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(memory, "available_memory", lambda device: 2**12)
        adopt = ("adopt", f"npz:{way.data}", "--arch", f"{__name__}:cumulative", "--weights", "included")
        for words in (
            ("unlearn", way.original, "--forget", f"subject={way.person}"),
            ("retrain", way.original, "--forget", "class=1"),
            (*adopt, "--trained-on", "all", "--fine-tune", 1),
        ):
            said = obliq(*words, "--out", tmp_path / "out")
            refused(said, "samples of 1 x 6 x 6 takes about", "expected")
        nothing_written(tmp_path)

    def test_packages_of_an_export_and_keys_of_a_patch(
        self, obliq: Obliq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        said = obliq("export", tmp_path / "no", "--out", tmp_path / "o.onnx", "--check", "digits")
        refused(said, "onnxruntime is not installed", "pip install '.[onnx]'")
        monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
        (tmp_path / "key").write_bytes(bytes(32))
        (tmp_path / "key").chmod(0o600)
        patch = (
            "patch",
            "make",
            tmp_path / "no",
            tmp_path / "none",
            "--sequence",
            1,
            "--key-file",
            tmp_path / "key",
        )
        refused(
            obliq(*patch, "--out", tmp_path / "p"), "cryptography is not installed", "pip install '.[patch]'"
        )


class Cumulative(nn.Module):
    """A step between layers that no integer graph has."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first = nn.Linear(36, 16)
        self.last = nn.Linear(16, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        features: Tensor = torch.cumsum(self.first(inputs.flatten(1)), 1)
        logits: Tensor = self.last(features)
        return logits


def cumulative(input_shape: tuple[int, ...], classes: int) -> nn.Module:
    return Cumulative(classes)


def test_a_layer_that_cannot_be_exported_is_named_before_training(
    obliq: Obliq, way: Way, tmp_path: Path
) -> None:
    network = f"{__name__}:cumulative"
    said = obliq("train", f"npz:{way.data}", "--arch", network, "--out", tmp_path / "out", *SHORT)
    assert said.status == 0, said.err
    warning = "WARNING: after training, this network cannot be exported: cumsum"
    assert warning in said.out
    assert said.err.index(warning) < said.err.index(" of 2, ")
    assert "WARNING" not in obliq("train", f"npz:{way.data}", "--out", tmp_path / "usual", *SHORT).err
    adopt = ("adopt", f"npz:{way.data}", "--arch", network, "--weights", "included", "--trained-on", "all")
    said = obliq(*adopt, "--threads", 1, "--out", tmp_path / "adopted")
    assert said.status == 0, said.err
    assert "WARNING: this network cannot be exported: cumsum" in said.err
    assert "WARNING: this network cannot be exported: cumsum" in said.out
