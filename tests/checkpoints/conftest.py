import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from obliq.checkpoints import Blueprint, Checkpoint, Provenance, save_checkpoint
from obliq.data import PartitionRule
from obliq.models import initialise
from obliq.quantization import Precision, calibrate_steps

SHAPES = {
    "convnet": (1, 8, 8),
    "resnet20": (3, 8, 8),
    "resnet18": (3, 8, 8),
    "mobilenetv2": (3, 8, 8),
    "signal-convnet": (2, 16),
}


def provenance(**fields: object) -> Provenance:
    given: dict[str, object] = {
        "role": "unlearned",
        "data": "digits",
        "rule": PartitionRule(seed=3, limit=500),
        "partition_digest": "a" * 64,
        "splits_digest": "b" * 64,
        "counts": {"train": 10, "forget": 2, "retain": 8, "holdout": 3, "test": 3},
        "recipe": {"epochs": 3, "learning_rate": 0.05, "augment": False},
        "method": "oeu",
        "method_fields": {"objective": "calibrated", "betas": (0.9, 0.99), "clip": None},
        "base_digest": "c" * 64,
        "seconds": 1.5,
        "seed": 7,
        "threads": 2,
    }
    return Provenance(**(given | fields))  # type: ignore[arg-type]


def settled(model: nn.Module, shape: tuple[int, ...], seed: int = 0) -> nn.Module:
    """A network with drawn weights, set steps and batch-norm statistics of its own."""
    initialise(model, seed)
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(6, *shape, generator=generator)
    model.train()
    calibrate_steps(model, inputs)
    with torch.no_grad():
        model(inputs)
        for parameter in model.parameters():
            if parameter.dim() >= 2:  # off the values that come straight from the initialisation
                parameter.mul_(1 + 0.1 * torch.rand(parameter.shape, generator=generator))
    return model.eval()


def make(architecture: str = "convnet", precision: str = "W4A4", **fields: object) -> Checkpoint:
    shape = SHAPES[architecture]
    blueprint = Blueprint(
        architecture=architecture,
        input_shape=shape,
        classes=3,
        precision=Precision.parse(precision),
        **fields,
    )
    return Checkpoint(settled(blueprint.build(), shape), blueprint, provenance())


@pytest.fixture(scope="session")
def saved() -> Checkpoint:
    return make()


@pytest.fixture(scope="session")
def pristine(saved: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pristine") / "network"
    save_checkpoint(folder, saved)
    return folder


@pytest.fixture
def stored(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "network"))


@pytest.fixture
def edit(stored: Path) -> Callable[[Callable[[dict[str, object]], object]], Path]:
    """Change model.json in place by a function of its values."""

    def change(function: Callable[[dict[str, object]], object]) -> Path:
        values = json.loads((stored / "model.json").read_text())
        function(values)
        (stored / "model.json").write_text(json.dumps(values))
        return stored

    return change
