"""What a user has who trained a network without Obliq: code, weights, data and a split."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.cli.conftest import Said

Obliq = Callable[..., Said]

CODE = """
import torch
from torch import nn

def network(input_shape=(1, 6, 6), classes=3):
    return nn.Sequential(
        nn.Conv2d(input_shape[0], 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(128, classes)
    )

def trained():
    model = network()
    model.load_state_dict(torch.load("weights.pt", weights_only=True))
    return model

def small(input_shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(36, classes - 1))

def train(retain):
    inputs, labels = (torch.stack([one for one, _ in retain]), torch.tensor([label for _, label in retain]))
    model = network().train()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(25):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
    return model

def other(retain):
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 3))

def fails(retain):
    raise RuntimeError("no accelerator")
"""


OWN = ("--arch", "adoptednet:network")


def network() -> nn.Module:
    found: dict[str, object] = {}
    exec(CODE, found)
    built = found["network"]()  # type: ignore[operator]
    assert isinstance(built, nn.Module)
    return built


@dataclass(frozen=True)
class Elsewhere:
    """A folder with the user's own network, data and split."""

    folder: Path
    accuracy: dict[str, float]

    @property
    def words(self) -> tuple[str, ...]:
        parts = ("--trained-on", "ids=train.txt", "--holdout", "ids=holdout.txt", "--test", "ids=test.txt")
        return ("adopt", "npz:data.npz", *parts, "--threads", "1")


def trained_by_hand(model: nn.Module, inputs: Tensor, labels: Tensor) -> nn.Module:
    optimizer = torch.optim.Adam(model.train().parameters(), 0.01)
    for _ in range(25):
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
    return model.eval()
