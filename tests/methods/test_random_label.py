"""What random labels promise beyond the common contract."""

from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.data import Splits
from obliq.errors import ModelError
from obliq.methods import FineTune, RandomLabel
from obliq.run import Run
from obliq.training import relabelling
from tests.methods.measured import loss_on, same, statistics_moved, steps_moved


def test_labels_are_uniform_over_all_classes() -> None:
    labels = relabelling.random_labels(30_000, 10, torch.Generator().manual_seed(1))
    counts = torch.bincount(labels, minlength=10).double()
    chi_square = ((counts - 3000) ** 2 / 3000).sum().item()
    assert chi_square < 27.9, "the 0.999 quantile with 9 degrees of freedom"


class Recorder:
    """Keeps the labels that were drawn and the labels that were taught."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.drawn: list[Tensor] = []
        self.taught: list[Tensor] = []
        draw, teach = relabelling.random_labels, F.cross_entropy

        def drawing(count: int, classes: int, generator: torch.Generator) -> Tensor:
            self.drawn.append(draw(count, classes, generator))
            return self.drawn[-1]

        def teaching(logits: Tensor, labels: Tensor) -> Tensor:
            self.taught.append(labels)
            return teach(logits, labels)

        monkeypatch.setattr(relabelling, "random_labels", drawing)
        monkeypatch.setattr(F, "cross_entropy", teaching)


def test_the_sequential_form_draws_for_each_batch_and_keeps_retained_labels(
    original: nn.Module, splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Recorder(monkeypatch)
    RandomLabel(epochs=20, batch_size=64, learning_rate=1e-4).unlearn(original, splits, Run(seed=1))
    forget, retain = len(splits.forget), len(splits.retain)
    assert sum(map(len, seen.drawn)) == 20 * forget
    first_epoch = torch.cat(seen.taught)[: forget + retain]
    assert torch.equal(first_epoch[:forget], torch.cat(seen.drawn)[:forget])
    assert Counter(first_epoch[forget:].tolist()) == Counter(splits.retain.labels.tolist())
    shares = torch.bincount(torch.cat(seen.drawn), minlength=3) / (20 * forget)
    assert shares.sub(1 / 3).abs().max() < 0.1, "no class is left out, so none could be a sample's own"


def test_the_mixed_form_draws_once_an_epoch(
    original: nn.Module, splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Recorder(monkeypatch)
    RandomLabel(form="mixed", epochs=3, batch_size=32).unlearn(original, splits, Run(seed=1))
    assert [len(labels) for labels in seen.drawn] == [len(splits.forget)] * 3
    assert any(not torch.equal(seen.drawn[0], later) for later in seen.drawn[1:])
    taught = torch.cat(seen.taught)
    assert len(taught) == 3 * (len(splits.forget) + len(splits.retain))
    kept = 3 * torch.bincount(splits.retain.labels, minlength=3)
    assert torch.equal(
        torch.bincount(taught, minlength=3) - kept, torch.bincount(torch.cat(seen.drawn), minlength=3)
    )


@pytest.mark.parametrize("form", ["sequential", "mixed"])
def test_the_forget_loss_ends_above_that_of_fine_tuning(
    original: nn.Module, splits: Splits, form: str
) -> None:
    result = RandomLabel(form=form, epochs=8, learning_rate=0.02).unlearn(original, splits, Run(seed=1))
    tuned = FineTune(epochs=8, learning_rate=0.02).unlearn(original, splits, Run(seed=1))
    assert loss_on(result, splits.forget) > loss_on(tuned, splits.forget) + 0.05


def test_statistics_follow_the_chosen_batches(original: nn.Module, splits: Splits) -> None:
    frozen, retain, everything, mixed = (
        RandomLabel(epochs=1, batch_norm=name, form=form).unlearn(original, splits, Run(seed=1))
        for name, form in (
            ("frozen", "sequential"),
            ("retain", "sequential"),
            ("all", "sequential"),
            ("all", "mixed"),
        )
    )
    assert not statistics_moved(original, frozen)
    assert statistics_moved(original, retain)
    assert statistics_moved(retain, everything)
    assert statistics_moved(original, mixed)
    assert steps_moved(original, frozen)
    assert not same(everything, mixed)


def test_a_mixed_batch_has_no_retain_half_to_follow() -> None:
    with pytest.raises(ModelError, match="batch_norm='retain' with form='mixed'"):
        RandomLabel(form="mixed", batch_norm="retain")
