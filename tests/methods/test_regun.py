"""What reference-guided unlearning promises beyond the common contract."""

from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from obliq.data import Partition
from obliq.methods import ReGUn
from obliq.methods.regun import draw_held_out, reference_loss
from obliq.run import Run
from obliq.training.prediction import predict
from tests.methods.by_hand import first_step, linear, splits_by_hand
from tests.methods.measured import CPU


def test_held_out_samples_have_the_labels_of_the_batch() -> None:
    held_out = torch.tensor([0, 1, 1, 2, 0, 2, 1])
    labels = torch.tensor([1, 1, 0, 2, 2, 3]).repeat(500)
    drawn = draw_held_out(held_out, labels, len(labels), torch.Generator().manual_seed(0))
    known = labels < 3
    assert torch.equal(held_out[drawn[known]], labels[known])
    assert set(drawn[labels == 1].tolist()) == {1, 2, 6}
    assert set(drawn[~known].tolist()) == set(range(7)), "a class without held-out samples: any"
    anything = draw_held_out(held_out, None, 500, torch.Generator().manual_seed(0))
    assert set(anything.tolist()) == set(range(7))


def test_the_gradient_is_the_prediction_minus_the_reference() -> None:
    """For every sample of the batch with the same q: d KL(q || p) / dz = (p - q) / batch; the loss is 0 at p = q."""
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    reference = torch.tensor([0.7, 0.2, 0.1])
    loss = reference_loss(logits, reference)
    (slope,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(slope, (logits.detach().softmax(dim=1) - reference) / 4)
    assert float(reference_loss(reference.log().expand(4, 3), reference)) == pytest.approx(0, abs=1e-6)


def test_the_first_step_by_hand() -> None:
    """(p - y) x^T on the retain set plus (p - q) x^T, averaged, on the forget set, with one held-out sample a class."""
    network = linear([[1.0, -0.5], [0.2, 0.8]])
    retain, forget = [((1.0, 0.5), 0)], [((2.0, 0.0), 0), ((0.0, 1.0), 1)]
    splits = splits_by_hand(forget=forget, retain=retain, holdout=[((0.5, 0.5), 0), ((-1.0, 3.0), 1)])
    (found,) = first_step(ReGUn(epochs=1, weight_decay=0.0), network, splits)
    kept, forgotten, unseen = (
        network(part.inputs()).detach().softmax(dim=1)
        for part in (splits.retain, splits.forget, splits.holdout)
    )
    of_retain = (kept - torch.tensor([1.0, 0.0])).T @ splits.retain.inputs()
    of_forget = (forgotten - unseen.mean(dim=0)).T @ splits.forget.inputs() / 2
    torch.testing.assert_close(found, of_retain + of_forget, atol=1e-4, rtol=0)


@pytest.mark.parametrize("selector", ["class_informed", "uniform"])
def test_forgotten_samples_come_to_resemble_the_average_of_unseen_ones(
    original: nn.Module, parts: Partition, selector: Literal["class_informed", "uniform"]
) -> None:
    """With the forget set alone, predictions end at the frequencies of held-out predictions, sample by sample alike."""
    splits = parts.forgetting(parts.train.indices[:12], salt=b"1" * 32)
    before = predict(original, splits.forget, CPU).softmax(dim=1)
    method = ReGUn(
        selector=selector,
        update="forget_only",
        epochs=10,
        learning_rate=0.2,
        weight_decay=0.0,
        clip=1.0,
        record_every=0,
    )
    after = predict(method.unlearn(original, splits, Run(seed=1)), splits.forget, CPU).softmax(dim=1)
    reference = predict(original, splits.holdout, CPU).softmax(dim=1).mean(dim=0)

    def distance(answers: torch.Tensor) -> float:
        return F.kl_div(answers.log(), reference.expand_as(answers), reduction="batchmean").item()

    assert distance(after) < 0.3 * distance(before)
    assert after.std(dim=0).mean() < 0.7 * before.std(dim=0).mean()
