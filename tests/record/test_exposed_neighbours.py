"""Retained samples that a request would leave without a close companion."""

import pytest
import torch

from obliq.data import PartitionRule, partition
from obliq.data.collection import user_collection
from obliq.record import exposed_neighbours
from obliq.record.exposed_neighbours import count_exposed_neighbours


def test_who_loses_the_only_sample_that_is_close(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(60, 1, 4, 4, generator=generator)
    inputs[1::2] = (inputs[::2] + 0.01).clamp(0, 1)  # each sample has a twin
    inputs[40:] = 0.5 + 0.02 * torch.rand(20, 1, 4, 4, generator=generator)  # but a crowd
    labels = torch.arange(60) // 2 % 2
    parts = partition(user_collection("twins", inputs, labels), PartitionRule(holdout=0.0, test=0.0))
    assert len(parts.train) == 60

    def exposed(*forgotten: int) -> int | None:
        return count_exposed_neighbours(parts.forgetting(torch.tensor(forgotten)))

    assert exposed(0) == 1
    assert exposed(0, 2, 4) == 3
    assert exposed(0, 1) == 0, "both twins are forgotten, and nobody else was close"
    assert exposed(45) == 0, "its neighbours have others"
    assert exposed(*(labels == 0).nonzero().flatten().tolist()) == 0, "nobody of the class is left"
    monkeypatch.setattr(exposed_neighbours, "MOST_WORK", 10)
    assert exposed(0) is None
