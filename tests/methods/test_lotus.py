"""What LoTUS promises beyond the common contract."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.data import Partition, Splits
from obliq.errors import ModelError
from obliq.gradients import entropy
from obliq.methods import LoTUS
from obliq.methods.lotus import LOWEST_TEMPERATURE, accuracy_if_unseen, gumbel_noise, teacher_labels
from obliq.run import Run, Trace
from obliq.training.prediction import accuracy, predict
from tests.methods.by_hand import first_step, linear, splits_by_hand
from tests.methods.measured import CPU, same, statistics_moved, steps_moved


def test_soft_where_forgotten_and_hard_elsewhere() -> None:
    logits = torch.tensor([[2.0, 0.0, 1.0], [2.0, 0.0, 3.0]])
    labels = teacher_labels(logits, torch.tensor([True, False]), 2.0)
    expected = torch.tensor([math.exp(1.0), 1.0, math.exp(0.5)])
    torch.testing.assert_close(labels[0], expected / expected.sum())
    assert labels[1].tolist() == [0.0, 0.0, 1.0]
    torch.testing.assert_close(teacher_labels(logits, torch.ones(2).bool(), 1e9), torch.full((2, 3), 1 / 3))
    cold = teacher_labels(logits, torch.ones(2).bool(), 1e-3)
    torch.testing.assert_close(cold, teacher_labels(logits, torch.zeros(2).bool(), 1.0))


def test_hard_labels_with_noise_are_draws_from_the_prediction() -> None:
    """The Gumbel trick: argmax(z + g) is class c with the probability softmax(z)_c."""
    logits = torch.tensor([[1.0, 0.0, -1.0]]).expand(40_000, 3)
    noise = gumbel_noise(logits.shape, torch.Generator().manual_seed(0))
    drawn = teacher_labels(logits + noise, torch.zeros(40_000).bool(), 1.0).mean(dim=0)
    torch.testing.assert_close(drawn, F.softmax(logits[0], dim=0), atol=0.01, rtol=0)


@pytest.mark.parametrize(("alpha", "softened"), [(math.log(2), (1.0, 1.5)), (1e4, (0.0, 0.0))])
def test_the_first_step_by_hand(
    alpha: float, softened: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gradient (p - taught) x^T, halved as the mean of two samples, at a lead of 1, so that T = e^alpha.

    Logits are (2, 0) for the forgotten sample and (0, 1) for the retained one, which is answered wrongly. With the
    noise (0, 3), the first is taught softmax((2, 3) / T), which is uniform where e^alpha would overflow. The second is
    taught class 1, whatever its label.
    """
    noise = torch.tensor([0.0, 3.0])
    monkeypatch.setattr("obliq.methods.lotus.gumbel_noise", lambda shape, _: noise.expand(shape))
    splits = splits_by_hand(forget=[((2.0, 0.0), 0)], retain=[((0.0, 1.0), 0)], holdout=[((0.0, 1.0), 0)])
    method = LoTUS(alpha=alpha, retain_share=1.0, epochs=1, weight_decay=0.0)
    (found,) = first_step(method, linear([[1.0, 0.0], [0.0, 1.0]]), splits)
    of_forget = F.softmax(torch.tensor([2.0, 0.0]), dim=0) - F.softmax(torch.tensor(softened), dim=0)
    of_retain = F.softmax(torch.tensor([0.0, 1.0]), dim=0) - torch.tensor([0.0, 1.0])
    torch.testing.assert_close(found, torch.stack([2 * of_forget, 1 * of_retain], dim=1) / 2)


def test_the_temperature_follows_the_lead_over_unseen_data(original: nn.Module, splits: Splits) -> None:
    trace = Trace()
    LoTUS(alpha=3.0, epochs=2).unlearn(original, splits, Run(seed=1, listen=trace))
    told = [row for row in trace.rows if "temperature" in row]
    assert len(told) == 2
    lead = (accuracy(original, splits.forget, CPU) - accuracy(original, splits.holdout, CPU)) / 100
    assert told[0]["lead"] == pytest.approx(lead)
    assert all(row["temperature"] == pytest.approx(math.exp(3.0 * float(row["lead"]))) for row in told)


def test_learning_ends_where_the_forget_set_falls_behind(
    original: nn.Module, splits: Splits, parts: Partition
) -> None:
    """A network that never predicts class 1 forgets some samples of it."""
    never = copy.deepcopy(original)
    with torch.no_grad():
        never.get_parameter("classifier.bias")[1] -= 100
    some = parts.train.indices[parts.train.labels == 1][:10]
    behind = parts.forgetting(some, salt=b"2" * 32)
    assert accuracy(never, behind.forget, CPU) == 0 < accuracy(never, behind.holdout, CPU)
    assert same(LoTUS(epochs=2).unlearn(never, behind, Run(seed=1)), never)
    assert not same(LoTUS(epochs=2).unlearn(original, splits, Run(seed=1)), original)


def test_a_forgotten_class_counts_as_never_answered(
    original: nn.Module, splits: Splits, parts: Partition
) -> None:
    expected = accuracy(original, splits.holdout, CPU) / 100
    assert accuracy_if_unseen(original, splits, Run()) == pytest.approx(expected)
    of_class = parts.train.indices[parts.train.labels == 1]
    assert accuracy_if_unseen(original, parts.forgetting(of_class, salt=b"1" * 32), Run()) == 0.0
    few = parts.train.indices[parts.train.labels == 0][:10]
    both = parts.forgetting(torch.cat([of_class, few]), salt=b"1" * 32)
    assert both.forgotten_classes == {1}
    known = splits.holdout.where(splits.holdout.labels != 1)
    part = len(few) / len(both.forget) * accuracy(original, known, CPU) / 100
    assert accuracy_if_unseen(original, both, Run()) == pytest.approx(part)


def test_heat_makes_a_forgotten_class_uncertain_and_not_the_others(
    original: nn.Module, parts: Partition
) -> None:
    """It leads by its whole accuracy, so that its labels are close to uniform."""
    of_class = parts.train.indices[parts.train.labels == 1]
    splits = parts.forgetting(of_class, salt=b"1" * 32)
    method = LoTUS(epochs=10, learning_rate=0.05, batch_size=32)
    result = method.unlearn(original, splits, Run(seed=1))
    forget, retain = (entropy(predict(result, part, CPU)).mean() for part in (splits.forget, splits.retain))
    before = entropy(predict(original, splits.forget, CPU)).mean()
    assert forget > before + 0.1
    assert forget > retain + 0.1


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_an_epoch_is_the_forget_set_and_a_share_of_the_retain_set(
    original: nn.Module, splits: Splits, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []

    def counting(logits: Tensor, forgotten: Tensor, temperature: float) -> Tensor:
        seen.append((int(forgotten.sum()), int((~forgotten).sum())))
        return teacher_labels(logits, forgotten, temperature)

    monkeypatch.setattr("obliq.methods.lotus.teacher_labels", counting)
    LoTUS(epochs=1, retain_share=share, batch_size=32).unlearn(original, splits, Run(seed=1))
    assert sum(forget for forget, _ in seen) == len(splits.forget)
    assert sum(retain for _, retain in seen) == int(share * len(splits.retain))


def test_statistics_follow_or_stay_and_steps_are_trained(original: nn.Module, splits: Splits) -> None:
    frozen, following = (
        LoTUS(epochs=1, batch_norm=name).unlearn(original, splits, Run(seed=1)) for name in ("frozen", "all")
    )
    assert not statistics_moved(original, frozen)
    assert statistics_moved(original, following)
    assert steps_moved(original, frozen)


def test_labels_are_finite_at_the_lowest_temperature() -> None:
    logits = torch.tensor([[3e4, -3e4, 2.9e4], [-2.0, -1.0, -3.0]])
    found = teacher_labels(logits, torch.tensor([True, True]), LOWEST_TEMPERATURE)
    assert found.tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


@pytest.mark.parametrize("settings", [{"alpha": -1.0}, {"margin": 1.5}, {"retain_share": 2.0}])
def test_settings_out_of_range_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=next(iter(settings))):
        LoTUS(**settings)
