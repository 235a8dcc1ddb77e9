"""What `obliq train` chooses where no option states it: printed, and in the recipe."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from obliq.checkpoints import Blueprint
from obliq.data import Partition
from obliq.errors import ModelError
from obliq.models import ARCHITECTURES
from obliq.training.loop import Recipe
from tests.cli.conftest import Said

RATES = {
    "convnet": 0.05,
    "strided-convnet": 0.05,
    "resnet20": 0.05,
    "resnet18": 0.05,
    "mobilenetv2": 0.01,
    "signal-convnet": 0.05,
}
OWN_RATE, NORM, LOGITS = "learning rate: 0.01, the default for mobilenetv2", "batch norm: ", "logits: "


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[Recipe]:
    """The recipes that training received; it goes no further."""
    recipes: list[Recipe] = []

    def train_original(parts: Partition, blueprint: Blueprint, recipe: Recipe, *others: object) -> None:
        recipes.append(recipe)
        raise ModelError("training has begun")

    monkeypatch.setattr("obliq.workflow.pipeline.train_original", train_original)
    return recipes


def test_the_default_rate_of_every_built_in_network(
    obliq: Callable[..., Said], chosen: list[Recipe], tmp_path: Path
) -> None:
    assert RATES.keys() == ARCHITECTURES.keys()
    labels = np.arange(40) % 2
    np.savez(tmp_path / "images.npz", x=np.zeros((40, 1, 8, 8), np.float32), y=labels)
    np.savez(tmp_path / "signals.npz", x=np.zeros((40, 1, 32), np.float32), y=labels)
    for name, rate in RATES.items():
        data = f"npz:{tmp_path / ('signals.npz,layout=CL' if name == 'signal-convnet' else 'images.npz')}"
        train = ("train", data, "--arch", name, "--out", tmp_path / "out")
        said = obliq(*train)
        assert chosen[-1] == Recipe(learning_rate=rate, norm_statistics="measured", logit_steps="measured")
        assert type(chosen[-1].learning_rate) is float
        assert (OWN_RATE in said.err) == (name == "mobilenetv2")
        assert NORM in said.err
        assert LOGITS in said.err


def test_stated_options_stay(obliq: Callable[..., Said], chosen: list[Recipe], tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", x=np.zeros((40, 1, 8, 8), np.float32), y=np.arange(40) % 2)
    train = ("train", f"npz:{tmp_path / 'images.npz'}", "--arch", "mobilenetv2", "--out", tmp_path / "out")
    stated = ("--learning-rate", 0.05, "--norm-statistics", "running", "--logit-steps", "learned")
    said = obliq(*train, *stated)
    assert chosen[-1] == Recipe(norm_statistics="running", logit_steps="learned")
    assert not any(words in said.err for words in (OWN_RATE, NORM, LOGITS))
    assert LOGITS not in obliq(*train, "--bits", "FP32").err  # nothing is rounded
    obliq(*train, "--epochs", 100)  # of one step
    assert chosen[-1] == Recipe(epochs=100, learning_rate=0.01)
