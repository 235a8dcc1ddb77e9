"""Signs that a file was not trained on the samples that its user states."""

import pytest
import torch

from obliq.data import Examples, Splits
from obliq.workflow.file_claims import SIGNIFICANT, FileClaims, _memorised


@pytest.mark.parametrize(
    ("memorised", "words"),
    [(None, ""), (8.0, ""), (0.5, "no better than"), (-3.0, "worse than")],
    ids=["recorded", "memorised", "nothing memorised", "parts exchanged"],
)
def test_a_file_that_fits_unseen_samples_as_well_may_have_another_division(
    memorised: float | None, words: str
) -> None:
    accuracy = {"retain": 98.0, "holdout": 97.0, "most frequent class": 10.0}
    claims = FileClaims(accuracy=accuracy, by_scale={}, expected=None, data="digits", memorised=memorised)
    assert len(claims.warnings) == bool(words)
    for warning in claims.warnings:
        assert f"training part {words} the holdout samples" in warning
        assert "expected --division-seed" in warning


def test_memorisation_is_counted_in_standard_errors(splits: Splits) -> None:
    parts = {"retain": splits.retain, "holdout": splits.holdout}
    fixed = {name: torch.zeros(len(part), 3) for name, part in parts.items()}
    fixed["retain"][torch.arange(len(splits.retain)), splits.retain.labels] = 5.0
    assert _memorised(fixed, parts) > 1e6  # no spread at all

    def noise(part: Examples, seed: int) -> torch.Tensor:
        return torch.randn(len(part), 3, generator=torch.Generator().manual_seed(seed))

    drawn = {name: noise(part, number) for number, (name, part) in enumerate(parts.items())}
    assert abs(_memorised(drawn, parts)) < SIGNIFICANT
    loss = {
        name: -drawn[name].log_softmax(1)[torch.arange(len(part)), part.labels]
        for name, part in parts.items()
    }
    error = sum(one.double().var(correction=0) / len(one) for one in loss.values()).sqrt()
    expected = (loss["holdout"].double().mean() - loss["retain"].double().mean()) / error
    assert _memorised(drawn, parts) == pytest.approx(float(expected), rel=1e-5)
    exchanged = dict(zip(parts, reversed(drawn.values()), strict=True))
    swapped = dict(zip(parts, reversed(parts.values()), strict=True))
    assert _memorised(exchanged, swapped) == pytest.approx(-float(expected), rel=1e-5)
