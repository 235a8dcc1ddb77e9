"""What the bad teacher promises beyond the common contract."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.data import Examples, Splits
from obliq.errors import ModelError
from obliq.gradients import distillation_loss, entropy
from obliq.methods import BadTeacher
from obliq.methods.bad_teacher import incompetent_teacher
from obliq.quantization import activations, integer_state
from obliq.run import Run
from obliq.training.prediction import predict
from tests.methods.by_hand import first_step, linear, splits_by_hand
from tests.methods.measured import CPU, same, statistics_moved, steps_moved, unreadable


def distance(teacher: nn.Module, student: nn.Module, examples: Examples) -> float:
    return distillation_loss(predict(teacher, examples, CPU), predict(student, examples, CPU)).item()


def test_each_set_is_learned_from_its_own_teacher(original: nn.Module, splits: Splits) -> None:
    run = Run(seed=1)
    method = BadTeacher(epochs=15, learning_rate=0.05)
    result = method.unlearn(original, splits, run)
    ignorant = incompetent_teacher(original, splits.retain, method.batch_size, run)
    assert distance(ignorant, result, splits.forget) < 0.6 * distance(ignorant, original, splits.forget)
    assert distance(original, result, splits.retain) < distance(ignorant, result, splits.retain)
    assert (
        entropy(predict(result, splits.forget, CPU)).mean()
        > entropy(predict(result, splits.retain, CPU)).mean()
    )


def test_the_first_step_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """T (softmax(z / T) - softmax(teacher / T)) x^T, halved as the mean of two samples, on the forgotten sample alone.

    On the retained sample, the student begins as its teacher. Logits are (2, 0, 0), and (0, 2, -2) of the ignorant.
    """
    ignorant = linear([[0.0, 5.0], [1.0, 0.0], [-1.0, 0.0]])
    monkeypatch.setattr("obliq.methods.bad_teacher.incompetent_teacher", lambda *_: ignorant)
    splits = splits_by_hand(forget=[((2.0, 0.0), 0)], retain=[((0.0, 1.0), 0)])
    method = BadTeacher(retain_share=1.0, temperature=2.0, epochs=1, weight_decay=0.0)
    (found,) = first_step(method, linear([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), splits)
    student, teacher = (F.softmax(torch.tensor(logits), dim=0) for logits in ([1.0, 0, 0], [0.0, 1, -1]))
    of_forget = 2.0 * (student - teacher) * 2.0 / 2
    torch.testing.assert_close(found, torch.stack([of_forget, torch.zeros(3)], dim=1))


def test_the_ignorant_teacher_has_the_same_form_and_knows_nothing(
    original: nn.Module, splits: Splits
) -> None:
    before = copy.deepcopy(original)
    teacher = incompetent_teacher(original, splits.retain, 32, Run(seed=0))
    assert same(before, original)
    assert integer_state(teacher).keys() == integer_state(original).keys()
    assert all(bool(quantizer.calibrated) for quantizer in activations(teacher).values())
    assert not teacher.training
    right = predict(teacher, splits.retain, CPU).argmax(1) == splits.retain.labels
    assert right.float().mean() < 0.6
    assert same(teacher, incompetent_teacher(original, splits.retain, 32, Run(seed=0)))
    assert not same(teacher, incompetent_teacher(original, splits.retain, 32, Run(seed=1)))


def test_no_label_is_read(original: nn.Module, splits: Splits) -> None:
    """Teachers answer for themselves: wrong labels everywhere change nothing."""
    collection = copy.copy(splits.retain.collection)
    object.__setattr__(collection, "labels", (collection.labels + 1) % 3)
    other = object.__new__(Splits)
    for name in ("partition", "forget", "retain", "holdout", "test", "salt"):
        part = getattr(splits, name)
        object.__setattr__(
            other, name, Examples(collection, part.indices) if isinstance(part, Examples) else part
        )
    method = BadTeacher(epochs=1)
    assert same(method.unlearn(original, splits, Run(seed=1)), method.unlearn(original, other, Run(seed=1)))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_an_epoch_is_the_forget_set_and_a_share_of_the_retain_set(
    original: nn.Module, splits: Splits, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def counting(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
        seen.append(len(student))
        return distillation_loss(teacher, student, temperature)

    monkeypatch.setattr("obliq.methods.bad_teacher.distillation_loss", counting)
    BadTeacher(epochs=2, retain_share=share, batch_size=32).unlearn(original, splits, Run(seed=1))
    assert sum(seen) == 2 * (len(splits.forget) + int(share * len(splits.retain)))


def test_the_holdout_set_is_never_read(original: nn.Module, splits: Splits) -> None:
    BadTeacher(epochs=1, retain_share=0.0).unlearn(original, unreadable(splits, "holdout"), Run(seed=1))


def test_statistics_follow_or_stay(original: nn.Module, splits: Splits) -> None:
    frozen, following = (
        BadTeacher(epochs=1, batch_norm=name).unlearn(original, splits, Run(seed=1))
        for name in ("frozen", "all")
    )
    assert not statistics_moved(original, frozen)
    assert statistics_moved(original, following)
    assert steps_moved(original, frozen)
    assert not torch.equal(next(original.parameters()), next(frozen.parameters()))


@pytest.mark.parametrize("settings", [{"retain_share": 2.0}, {"temperature": 0.0}])
def test_settings_out_of_range_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=next(iter(settings))):
        BadTeacher(**settings)
