"""Networks and sets as a caller has them: trained in plain PyTorch, given in every accepted form."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

from obliq.data import Collection, Examples, Splits

SHAPE = (1, 6, 6)
ROLES = ("forget", "retain", "holdout", "test")


class Listed(Dataset[tuple[Tensor, int]]):
    def __init__(self, inputs: Tensor, labels: Tensor) -> None:
        self.inputs, self.labels = inputs, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.inputs[index], int(self.labels[index])


FORMS: dict[str, Callable[[Examples], Any]] = {
    "samples of one collection": lambda examples: examples,
    "a collection each": lambda examples: Collection("own", examples.inputs(), examples.labels),
    "pairs of tensors": lambda examples: (examples.inputs(), examples.labels),
    "arrays": lambda examples: (examples.inputs().numpy(), examples.labels.numpy()),
    "tensor data sets": lambda examples: TensorDataset(examples.inputs(), examples.labels),
    "map-style data sets": lambda examples: Listed(examples.inputs(), examples.labels),
}


def sets(splits: Splits, form: Callable[[Examples], Any], *roles: str) -> dict[str, Any]:
    """The sets of these roles in one form, by the name of their argument."""
    return {role: form(getattr(splits, role)) for role in roles}


class Elsewhere(nn.Module):
    """A network as a user writes it: nothing of ours in it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8 * 9, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = F.max_pool2d(torch.relu(self.norm(self.stem(inputs))), 2)
        return self.head(hidden.flatten(1))


def trained_elsewhere(train: Examples) -> nn.Module:
    """A float network that was trained by plain PyTorch."""
    torch.manual_seed(0)
    network = Elsewhere()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    inputs, labels = train.inputs(), train.labels
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(network(inputs), labels).backward()
        optimizer.step()
    return network.eval()
