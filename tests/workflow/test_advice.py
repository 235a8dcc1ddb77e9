"""For which requests no method is recommended."""

import dataclasses

import pytest
import torch

from obliq.data import Collection, PartitionRule, Splits, partition
from obliq.methods import Retrain
from obliq.workflow.advice import RECOMMENDED, reason_to_retrain


def asked_for(forget: list[int], *, earlier: list[int] | None = None) -> Splits:
    """Positions among 200 training samples, 10 each of 20 classes in turn."""
    data = Collection(
        "d", torch.zeros(200, 1), torch.arange(200) % 20, class_names=tuple("abcdefghijklmnopqrst")
    )
    parts = partition(data, PartitionRule(holdout=0.0, test=0.0))
    before = None if earlier is None else torch.tensor(earlier)
    return parts.forgetting(torch.tensor(forget), earlier=before)


OF_A = list(range(0, 200, 20))


@pytest.mark.parametrize(
    ("splits", "reason"),
    [
        (asked_for(OF_A), "a whole class was forgotten, `"),
        (asked_for(OF_A[:9]), "a whole class was forgotten (here 90 % of class a), `"),
        (asked_for(OF_A[8:], earlier=OF_A[:8]), "a whole class was forgotten, `"),
        (asked_for([1], earlier=OF_A), "a whole class was forgotten (here by an earlier request), `"),
        (asked_for(list(range(41))), "(here 20.5 % of the training samples)"),
        (asked_for(list(range(21)), earlier=list(range(21, 41))), "(here 20.5 % of the training samples)"),
        (asked_for(OF_A[:8]), ""),
        (asked_for(list(range(40))), ""),
    ],
)
def test_the_reason_to_retrain(splits: Splits, reason: str) -> None:
    found = reason_to_retrain(RECOMMENDED, splits)
    assert reason in found
    assert bool(found) == bool(reason)
    assert reason_to_retrain(Retrain(), splits) == ""


def test_a_class_that_was_never_trained_on_is_not_forgotten() -> None:
    data = Collection("d", torch.zeros(20, 1), torch.arange(20) % 2, class_names=("a", "b", "c"))
    parts = partition(dataclasses.replace(data), PartitionRule(holdout=0.0, test=0.0))
    assert reason_to_retrain(RECOMMENDED, parts.forgetting(torch.tensor([0]))) == ""
