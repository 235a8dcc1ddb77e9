"""Targets and how far a network is from them."""

import pytest
import torch
from torch import nn

from obliq.data import Splits
from obliq.methods.calibrated.targets import Targets, calibrated_targets, distance_left, true_class_confidence
from obliq.run import Run

RUN = Run(seed=1)


@pytest.mark.parametrize("difficulty", ["average", "estimated"])
def test_the_original_has_all_of_its_distance_left(
    original: nn.Module, splits: Splits, difficulty: str
) -> None:
    targets = calibrated_targets(original, splits, difficulty, RUN)
    own = true_class_confidence(original, splits.forget, RUN)
    torch.testing.assert_close(targets.distance, (targets.confidence - own).abs())
    assert distance_left(original, splits.forget, targets, RUN)["distance_left"] == pytest.approx(1)


def test_nothing_is_left_at_the_targets_or_where_there_was_nothing_to_go(
    original: nn.Module, splits: Splits
) -> None:
    own = true_class_confidence(original, splits.forget, RUN)
    there = Targets(own, torch.full_like(own, 0.5))
    assert distance_left(original, splits.forget, there, RUN) == {"distance": 0, "distance_left": 0}
    nowhere = Targets(own, torch.zeros_like(own))
    assert distance_left(original, splits.forget, nowhere, RUN)["distance_left"] == 0
