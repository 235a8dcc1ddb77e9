"""What SCRUB promises beyond the common contract."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from obliq.data import Examples, Splits
from obliq.errors import ModelError
from obliq.gradients import distillation_loss
from obliq.methods import SCRUB, FineTune
from obliq.run import Run, Trace
from obliq.training.prediction import predict
from tests.methods.measured import CPU, same, statistics, statistics_moved, steps_moved, unreadable


def distance(original: nn.Module, result: nn.Module, examples: Examples) -> float:
    return distillation_loss(predict(original, examples, CPU), predict(result, examples, CPU)).item()


def test_without_forget_phases_and_teacher_it_is_fine_tuning(original: nn.Module, splits: Splits) -> None:
    method = SCRUB(alpha=0.0, gamma=1.0, forget_epochs=0, epochs=2, learning_rate=0.01)
    result = method.unlearn(original, unreadable(splits, "forget"), Run(seed=1))
    assert same(result, FineTune(epochs=2).unlearn(original, splits, Run(seed=1)))


def test_the_retain_phase_is_cross_entropy_and_distance_to_the_teacher(
    original: nn.Module, splits: Splits
) -> None:
    trace = Trace()
    method = SCRUB(alpha=0.5, gamma=0.7, temperature=2.0, forget_epochs=0, epochs=1, retain_batch=500)
    method.unlearn(original, splits, Run(seed=1, listen=trace))
    student = copy.deepcopy(original).train()(splits.retain.inputs())
    teacher = predict(original, splits.retain, CPU)
    soft = (teacher / 2).softmax(1)
    kl = (soft * (soft.log() - F.log_softmax(student / 2, dim=1))).sum(1).mean()
    expected = 0.7 * F.cross_entropy(student, splits.retain.labels) + 0.5 * 4 * kl
    assert trace.rows[0]["loss"] == pytest.approx(expected.item(), rel=1e-4)


def test_forget_phases_lead_away_from_the_teacher(original: nn.Module, splits: Splits) -> None:
    settings = {"epochs": 4, "learning_rate": 0.01}
    with_phases = SCRUB(forget_epochs=3, **settings).unlearn(original, splits, Run(seed=1))
    without = SCRUB(forget_epochs=0, **settings).unlearn(original, splits, Run(seed=1))
    assert distance(original, with_phases, splits.forget) > 2 * distance(original, without, splits.forget)
    assert distance(original, with_phases, splits.forget) > distance(original, with_phases, splits.retain)


def test_a_student_that_normalises_as_its_teacher_cannot_leave_it_at_first(
    original: nn.Module, splits: Splits
) -> None:
    settings = {"epochs": 1, "forget_epochs": 1, "weight_decay": 0.0, "momentum": 0.0}
    trace = Trace()
    method = SCRUB(batch_norm="frozen", alpha=0.0, gamma=0.0, **settings)
    stuck = method.unlearn(original, splits, Run(seed=1, listen=trace))
    assert abs(trace.rows[0]["loss"]) < 1e-6
    for before, after in zip(original.parameters(), stuck.parameters(), strict=True):
        torch.testing.assert_close(after, before, rtol=0, atol=1e-5)
    free = SCRUB(batch_norm="all", alpha=0.0, gamma=0.0, **settings).unlearn(original, splits, Run(seed=1))
    moved = [(a - b).abs().max() for a, b in zip(original.parameters(), free.parameters(), strict=True)]
    assert max(moved) > 1e-4


def test_statistics_follow_the_chosen_batches(original: nn.Module, splits: Splits) -> None:
    frozen, retain, everything = (
        SCRUB(epochs=1, batch_norm=name, retain_batch=500, weight_decay=0.0).unlearn(
            original, splits, Run(seed=1)
        )
        for name in ("frozen", "retain", "all")
    )
    tuned = FineTune(epochs=1, batch_size=500).unlearn(original, splits, Run(seed=1))
    assert not statistics_moved(original, frozen)
    assert steps_moved(original, frozen)
    for seen, expected in zip(statistics(retain), statistics(tuned), strict=True):
        torch.testing.assert_close(seen, expected, rtol=1e-3, atol=1e-4)
    assert statistics_moved(retain, everything)


@pytest.mark.parametrize(
    "settings", [{"temperature": 0.0}, {"alpha": -1.0}, {"gamma": float("nan")}, {"forget_epochs": -1}]
)
def test_settings_out_of_range_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=next(iter(settings))):
        SCRUB(**settings)
