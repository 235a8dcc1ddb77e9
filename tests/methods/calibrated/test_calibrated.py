"""What calibrated unlearning promises beyond the common contract."""

import itertools

import pytest
import torch
from torch import nn

from obliq.data import Splits
from obliq.errors import ModelError
from obliq.methods import Calibrated
from obliq.run import Run, Trace
from obliq.training.prediction import predict
from tests.methods.measured import same

CPU = torch.device("cpu")


def traced(method: Calibrated, model: nn.Module, splits: Splits) -> tuple[nn.Module, list[dict[str, float]]]:
    trace = Trace()
    return method.unlearn(model, splits, Run(seed=1, listen=trace)), trace.rows


def test_it_moves_forget_confidence_towards_holdout_confidence(original: nn.Module, splits: Splits) -> None:
    def mean_confidence(model: nn.Module, examples) -> float:  # type: ignore[no-untyped-def]
        return predict(model, examples, CPU).softmax(1).gather(1, examples.labels[:, None]).mean().item()

    result, _ = traced(Calibrated(epochs=6), original, splits)
    unseen = mean_confidence(original, splits.holdout)
    before = mean_confidence(original, splits.forget) - unseen
    after = mean_confidence(result, splits.forget) - unseen
    assert before > 0.05, "the original remembers"
    assert abs(after) < before


def test_without_momentum_the_forget_part_leaves_the_retain_batch_alone_to_first_order(
    original: nn.Module, splits: Splits
) -> None:
    method = Calibrated(
        epochs=2, rounds=1, retain_batch=32, record_every=1, momentum=0.0, projection="always"
    )
    _, rows = traced(method, original, splits)
    values = [abs(row["forget_alignment"]) for row in rows if "forget_alignment" in row]
    assert len(values) > 5
    assert max(values) < 1e-6


@pytest.mark.parametrize("settings", [{"rounds": 0}, {"tolerance": -0.1}, {"epochs": 0}])
def test_settings_out_of_range_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=next(iter(settings))):
        Calibrated(**settings)


def test_every_combination_of_choices_runs(original: nn.Module, splits: Splits) -> None:
    choices = itertools.product(
        ("always", "on_conflict", "never"), ("average", "estimated"), ("even", "by_distance")
    )
    for projection, difficulty, draw in choices:
        method = Calibrated(
            projection=projection, difficulty=difficulty, draw=draw, epochs=1, rounds=1, record_every=0
        )
        result = method.unlearn(original, splits, Run(seed=1))
        assert bool(torch.isfinite(predict(result, splits.forget, CPU)).all())


def test_rounds_go_on_until_the_tolerance_is_met(original: nn.Module, splits: Splits) -> None:
    def run(**settings: object) -> tuple[nn.Module, int, list[float]]:
        result, rows = traced(Calibrated(epochs=1, record_every=1, restarts=0, **settings), original, splits)
        left = [row["distance_left"] for row in rows if "distance_left" in row]
        return result, len(rows) - len(left), left

    once, one, _ = run(rounds=1)
    loose, as_one, (left,) = run(rounds=3, tolerance=2.0)
    _, three, in_three = run(rounds=3, tolerance=0.0)
    assert (as_one, three) == (one, 3 * one)
    assert same(once, loose)
    assert in_three[0] == left


@pytest.mark.parametrize("settings", [{"batch_norm": "retain"}, {"movable": 0.3}, {"projected": "update"}])
def test_rounds_bring_the_forget_set_nearer_with_every_choice(
    original: nn.Module, splits: Splits, settings: dict[str, object]
) -> None:
    method = Calibrated(epochs=2, rounds=3, tolerance=0.0, **settings)
    _, rows = traced(method, original, splits)
    left = [row["distance_left"] for row in rows if "distance_left" in row]
    assert len(left) == 3
    assert left[-1] < 1
