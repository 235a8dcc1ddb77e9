"""The witness finds hard what is hard, without having seen it, and depends on the retain set alone."""

import torch

from obliq.calibration import ridge_opinions
from obliq.data import Collection, Examples
from obliq.run import Run


def blobs() -> Collection:
    """Two classes apart; in the last fifth of the samples every second one lies with the other class."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(500) % 2
    centre = torch.where(labels == 0, -1.5, 1.5)
    odd = (torch.arange(500) >= 400) & (torch.arange(500) % 4 < 2)
    inputs = torch.randn(500, 1, 3, 3, generator=generator)
    inputs[:, 0, 0, 0] += torch.where(odd, -centre, centre)
    return Collection("blobs", inputs, labels, None, class_names=("a", "b"))


def test_samples_that_lie_with_another_class_get_low_opinions() -> None:
    everything = blobs()
    retain = Examples(everything, torch.arange(300))
    usual, mixed = Examples(everything, torch.arange(300, 400)), Examples(everything, torch.arange(400, 500))
    of_usual, of_mixed = ridge_opinions(retain, [usual, mixed], Run(seed=1))
    odd = torch.arange(400, 500) % 4 < 2
    assert (of_usual > 0).float().mean() > 0.85
    assert of_mixed[odd].mean() < 0 < of_mixed[~odd].mean()


def test_the_same_seed_gives_the_same_opinions_and_each_set_is_judged_alone() -> None:
    everything = blobs()
    retain, asked = Examples(everything, torch.arange(300)), Examples(everything, torch.arange(300, 500))
    (once,) = ridge_opinions(retain, [asked], Run(seed=1))
    again, _ = ridge_opinions(retain, [asked, retain], Run(seed=1))
    (other,) = ridge_opinions(retain, [asked], Run(seed=2))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
