"""Targets are the distribution of unseen data, handed out in the order of the forget set's own ranks."""

import pytest
import torch

from obliq.calibration import Opinions, matched_confidence, shifted_confidence

GENERATOR = torch.Generator().manual_seed(0)


def labels(count: int, label: int = 0) -> torch.Tensor:
    return torch.full((count,), label)


def test_the_forget_set_gets_the_holdout_distribution() -> None:
    forget, holdout = torch.rand(400, generator=GENERATOR), torch.rand(1000, generator=GENERATOR) ** 2
    targets = matched_confidence(forget, labels(400), holdout, labels(1000))
    for share in (0.1, 0.25, 0.5, 0.75, 0.9):
        assert abs(targets.quantile(share) - holdout.quantile(share)) < 0.01


def test_order_is_kept() -> None:
    forget, holdout = torch.rand(50, generator=GENERATOR), torch.rand(30, generator=GENERATOR)
    targets = matched_confidence(forget, labels(50), holdout, labels(30))
    assert bool((targets[forget.argsort()].diff() >= 0).all())


def test_each_class_is_matched_with_its_own() -> None:
    forget = torch.rand(20, generator=GENERATOR)
    forget_labels = torch.arange(2).repeat(10)
    holdout = torch.cat([torch.full((8,), 0.2), torch.full((8,), 0.9)])
    targets = matched_confidence(forget, forget_labels, holdout, torch.cat([labels(8, 0), labels(8, 1)]))
    torch.testing.assert_close(targets, torch.where(forget_labels == 0, 0.2, 0.9))


def test_a_class_with_little_holdout_borrows_from_all() -> None:
    holdout = torch.cat([torch.full((10,), 0.5), torch.tensor([0.99])])
    targets = matched_confidence(
        torch.rand(4), labels(4, 1), holdout, torch.cat([labels(10, 0), labels(1, 1)])
    )
    assert float(targets.median()) == 0.5


def test_a_class_of_which_nothing_is_retained_gets_no_confidence() -> None:
    targets = matched_confidence(
        torch.rand(4), labels(4, 1), torch.rand(9), labels(9, 1), forgotten_classes={1}
    )
    assert targets.tolist() == [0.0] * 4


def test_one_sample_gets_the_median() -> None:
    targets = matched_confidence(torch.tensor([0.9]), labels(1), torch.linspace(0, 1, 11), labels(11))
    torch.testing.assert_close(targets, torch.tensor([0.5]))


def skilled(difficulty: torch.Tensor, agreement: float, generator: torch.Generator) -> torch.Tensor:
    """A judge whose scores correlate with minus the difficulty by `agreement`."""
    noise = torch.randn(difficulty.shape, generator=generator)
    return -agreement * difficulty + (1 - agreement**2) ** 0.5 * noise


def shifted(
    shift: float, *, agreement: float = 0.7, spread: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Targets of a forget set that is `shift` deviations harder than holdout, and the true confidences."""
    generator = torch.Generator().manual_seed(1)
    holdout = torch.randn(4000, generator=generator)
    forget = shift + spread * torch.randn(4000, generator=generator)
    confidence = torch.sigmoid(2 - 2 * holdout)
    # the original knows holdout difficulty in full, and has learned the forget set by heart
    original = Opinions(torch.sigmoid(6 - forget), confidence)
    witness = Opinions(skilled(forget, agreement, generator), skilled(holdout, agreement, generator))
    targets = shifted_confidence(original, witness, labels(4000), confidence, labels(4000))
    return targets, torch.sigmoid(2 - 2 * forget)


@pytest.mark.parametrize("shift", [-0.5, 0.0, 0.7])
def test_a_noisy_witness_gives_the_true_distribution_of_a_harder_or_easier_set(shift: float) -> None:
    targets, truth = shifted(shift)
    for share in (0.1, 0.25, 0.5, 0.75, 0.9):
        assert abs(targets.quantile(share) - truth.quantile(share)) < 0.05


def test_the_order_follows_both_judges() -> None:
    targets, truth = shifted(0.5)
    order = torch.corrcoef(torch.stack([targets, truth]))[0, 1]
    assert order > 0.8


def test_a_set_of_one_kind_of_sample_keeps_its_narrow_spread() -> None:
    narrow, truth = shifted(0.5, spread=0.5)
    assert abs(narrow.std() - truth.std()) < 0.05


def test_shifted_targets_of_forgotten_classes_are_zero_and_one_sample_is_enough() -> None:
    judge = Opinions(torch.tensor([0.9]), torch.linspace(0, 1, 11))
    gone = shifted_confidence(judge, judge, labels(1), judge.holdout, labels(11), forgotten_classes={0})
    assert gone.tolist() == [0.0]
    kept = shifted_confidence(judge, judge, labels(1), judge.holdout, labels(11))
    assert 0.85 <= float(kept) <= 1.0
