"""Targets are the distribution of unseen data, handed out in the order of the forget set's own ranks."""

import pytest
import torch

from obliq.methods.calibrated.matching import (
    SampleScores,
    combined_normal_scores,
    matched_confidence,
    retrained_shift,
    shifted_confidence,
)

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


def shifted(shift: float, *, noise: float, spread: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Targets of a forget set `shift` deviations harder than holdout, and the confidences of a retrained network.

    All models share a difficulty. The networks add noise of their own to it, and each of the two reference models adds
    so much that both together are as noisy as a network.
    """
    generator = torch.Generator().manual_seed(1)

    def scored(difficulty: torch.Tensor, own: float) -> torch.Tensor:
        return -difficulty - own * torch.randn(difficulty.shape, generator=generator)

    def confidence(score: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(2 + 2 * score)

    holdout = torch.randn(4000, generator=generator)
    forget = shift + spread * torch.randn(4000, generator=generator)
    on_holdout = confidence(scored(holdout, noise))
    original = SampleScores(confidence(4 - forget), on_holdout)  # it has memorised the forget set
    references = [
        SampleScores(scored(forget, 2**0.5 * noise), scored(holdout, 2**0.5 * noise)) for _ in range(2)
    ]
    targets = shifted_confidence(original, references, labels(4000), on_holdout, labels(4000))
    return targets, confidence(scored(forget, noise))


@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("shift", [-0.5, 0.0, 0.7])
def test_a_harder_or_easier_set_gets_the_distribution_that_a_retrained_network_has(
    shift: float, noise: float
) -> None:
    targets, truth = shifted(shift, noise=noise)
    for share in (0.1, 0.25, 0.5, 0.75, 0.9):
        assert abs(targets.quantile(share) - truth.quantile(share)) < 0.06


def test_the_order_follows_all_models() -> None:
    targets, truth = shifted(0.5, noise=0.3)
    assert torch.corrcoef(torch.stack([targets, truth]))[0, 1] > 0.8


def test_a_set_of_one_kind_of_sample_keeps_its_narrow_spread() -> None:
    narrow, truth = shifted(0.5, noise=0.1, spread=0.6)
    assert abs(narrow.std() - truth.std()) < 0.05
    assert narrow.std() < 0.9 * shifted(0.5, noise=0.1)[0].std()


def test_a_chosen_set_is_assumed_to_be_further_off_and_narrower_than_reference_models_score_it() -> None:
    assert retrained_shift(-0.5, 1.0) == (-0.5, 1.0)
    assert retrained_shift(0.3, 1.4) == (0.3, 1.0)
    mean, variance = retrained_shift(-1.37, 0.75)
    assert -1.55 < mean < -1.45
    assert 0.65 < variance < 0.72
    assert retrained_shift(1.0, 0.0) == (1.25, 0.25)


def test_two_reference_models_of_which_one_is_wrong_about_a_set_are_less_wrong_than_it() -> None:
    generator = torch.Generator().manual_seed(2)
    usual, holdout = torch.randn(500, generator=generator), torch.randn(500, generator=generator)
    biased, fair = SampleScores(usual - 1.0, holdout), SampleScores(usual, holdout)
    alone = combined_normal_scores([biased], labels(500), labels(500)).mean()
    together = combined_normal_scores([biased, fair], labels(500), labels(500)).mean()
    assert alone < -0.8
    assert 0.4 * alone > together > 0.6 * alone


def test_shifted_targets_of_forgotten_classes_are_zero_and_one_sample_is_enough() -> None:
    judge = SampleScores(torch.tensor([0.9]), torch.linspace(0, 1, 11))
    gone = shifted_confidence(judge, [judge], labels(1), judge.holdout, labels(11), forgotten_classes={0})
    assert gone.tolist() == [0.0]
    kept = shifted_confidence(judge, [judge], labels(1), judge.holdout, labels(11))
    assert 0.85 <= float(kept) <= 1.0


def test_samples_of_a_forgotten_class_leave_the_targets_of_others_alone() -> None:
    generator = torch.Generator().manual_seed(4)
    usual, gone, holdout = (torch.randn(count, generator=generator) for count in (200, 100, 1000))
    confidence = torch.sigmoid(2 + 2 * holdout)
    kinds = torch.arange(1000) % 2
    alone = shifted_confidence(
        SampleScores(usual, holdout), [SampleScores(usual, holdout)], labels(200), confidence, kinds
    )
    both, of_both = torch.cat([usual, gone - 5]), torch.cat([labels(200), labels(100, 1)])
    beside = shifted_confidence(
        SampleScores(both, holdout),
        [SampleScores(both, holdout)],
        of_both,
        confidence,
        kinds,
        forgotten_classes={1},
    )
    assert torch.equal(beside[:200], alone)
    assert bool((beside[200:] == 0).all())


def test_a_handful_of_samples_is_not_taken_for_a_chosen_set() -> None:
    holdout = torch.randn(1000, generator=torch.Generator().manual_seed(5))
    one = SampleScores(torch.tensor([-1.0]), holdout)
    target = shifted_confidence(one, [one], labels(1), torch.sigmoid(holdout), labels(1000))
    assert abs(float(target) - torch.sigmoid(torch.tensor(-1.0))) < 0.03
