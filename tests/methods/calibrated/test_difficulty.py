"""A reference model scores hard samples low without having seen them, and depends on the retain set alone."""

import pytest
import torch

from obliq.data import Collection, Examples
from obliq.methods.calibrated.difficulty import PatchFeatures, RidgeSums, reference_features, ridge_margins
from obliq.run import Run


def blobs(side: int = 3) -> Collection:
    """Two classes apart; in the last fifth of the samples every second one lies with the other class."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(500) % 2
    centre = torch.where(labels == 0, -1.5, 1.5)
    odd = (torch.arange(500) >= 400) & (torch.arange(500) % 4 < 2)
    inputs = torch.randn(500, 1, side, side, generator=generator)
    inputs[:, 0, : side // 3, : side // 3] += torch.where(odd, -centre, centre)[:, None, None]
    return Collection("blobs", inputs, labels, None, class_names=("a", "b"))


@pytest.mark.parametrize("model", [0, 1])
def test_samples_that_lie_with_another_class_get_low_margins(model: int) -> None:
    everything = blobs(side=12)
    retain = Examples(everything, torch.arange(300))
    usual, mixed = Examples(everything, torch.arange(300, 400)), Examples(everything, torch.arange(400, 500))
    features = reference_features(retain, Run(seed=1))[model]
    learned = RidgeSums.of(features, retain)
    of_usual, of_mixed = (ridge_margins(features, learned, scored) for scored in (usual, mixed))
    odd = torch.arange(400, 500) % 4 < 2
    assert (of_usual > 0).float().mean() > 0.85
    assert of_mixed[odd].mean() < 0 < of_mixed[~odd].mean()


def test_the_same_seed_gives_the_same_margins() -> None:
    everything = blobs(side=12)
    retain, scored = Examples(everything, torch.arange(300)), Examples(everything, torch.arange(300, 500))

    def margins(seed: int) -> list[torch.Tensor]:
        found = reference_features(retain, Run(seed=seed))
        return [ridge_margins(one, RidgeSums.of(one, retain), scored) for one in found]

    for once, again, other in zip(margins(1), margins(1), margins(2), strict=True):
        assert torch.equal(once, again)
        assert not torch.equal(once, other)


@pytest.mark.parametrize("model", [0, 1])
def test_sums_of_two_sets_score_as_the_sums_of_both_at_once(model: int) -> None:
    everything = blobs(side=12)
    first, second = Examples(everything, torch.arange(200)), Examples(everything, torch.arange(200, 300))
    both, scored = Examples(everything, torch.arange(300)), Examples(everything, torch.arange(300, 500))
    features = reference_features(both, Run(seed=1))[model]
    of_sum, at_once = (
        ridge_margins(features, learned, scored)
        for learned in (
            RidgeSums.of(features, first) + RidgeSums.of(features, second),
            RidgeSums.of(features, both),
        )
    )
    torch.testing.assert_close(of_sum, at_once, atol=1e-3, rtol=1e-3)


def test_images_of_one_colour_each_have_no_patches() -> None:
    flat = torch.arange(6.0).reshape(6, 1, 1, 1).expand(6, 1, 8, 8)
    assert float(flat.var()) > 0
    assert not PatchFeatures.can_see(flat)


def test_patches_are_used_for_images_only() -> None:
    assert len(reference_features(Examples(blobs(side=12), torch.arange(300)), Run(seed=1))) == 2
    assert len(reference_features(Examples(blobs(side=3), torch.arange(300)), Run(seed=1))) == 1
    assert not PatchFeatures.can_see(torch.randn(50, 40))
    assert not PatchFeatures.can_see(torch.ones(50, 3, 8, 8))


def test_a_patch_is_found_wherever_it_lies_in_a_cell() -> None:
    generator = torch.Generator().manual_seed(3)
    features = PatchFeatures(torch.randn(50, 1, 32, 32, generator=generator), generator)
    here, there, far = torch.zeros(3, 1, 1, 32, 32)
    stroke = torch.randn(5, 5, generator=generator)
    here[..., 8:13, 8:13] = there[..., 10:15, 8:13] = far[..., 24:29, 24:29] = stroke
    seen = features(torch.cat([here, there, far]))
    assert seen.shape == (3, 2 * 64 * 16)
    assert seen[0] @ seen[1] > 0.9 * seen[0] @ seen[0]
    assert seen[0] @ seen[2] < 0.5 * seen[0] @ seen[0]
    torch.testing.assert_close(seen.norm(dim=1), torch.full((3,), 10.0))


def test_cells_are_those_of_adaptive_pooling() -> None:
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(6, 2, 14, 11, generator=generator)
    features = PatchFeatures(images, generator)
    found = torch.nn.functional.conv2d(images, features.filters, stride=2, padding=2)
    halves = torch.cat([found.clamp(min=0), (-found).clamp(min=0)], dim=1)
    pooled = torch.nn.functional.adaptive_avg_pool2d(halves, 4).flatten(1)
    torch.testing.assert_close(features(images), 10 * torch.nn.functional.normalize(pooled, dim=1))
