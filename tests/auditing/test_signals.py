import math

import numpy as np
import pytest
import torch
from torch import nn

from obliq.auditing import RoleSignals, Signals, compute_signals
from obliq.data.collection import Collection, Examples
from obliq.errors import AuditError
from tests.auditing.synthetic import answering

CPU = torch.device("cpu")


def test_two_classes_against_closed_forms() -> None:
    answers = Signals(torch.tensor([[0.0, math.log(3)], [2.0, 2.0]]), torch.tensor([1, 0]))
    assert answers.confidence == pytest.approx([0.75, 0.5])
    assert answers.loss == pytest.approx([-math.log(0.75), math.log(2)])
    assert answers.entropy == pytest.approx([-0.75 * math.log(0.75) - 0.25 * math.log(0.25), math.log(2)])
    assert answers.normalised_entropy[1] == pytest.approx(1)
    assert answers.margin == pytest.approx([math.log(3), 0], abs=1e-6)
    assert answers.predictions.tolist() == [1, 0]
    assert answers.correct.all()


def test_margin_still_ranks_where_confidence_is_one() -> None:
    answers = Signals(torch.tensor([[100.0, 0.0, 0.0], [200.0, 0.0, 0.0]]), torch.tensor([0, 0]))
    assert answers.confidence.tolist() == [1.0, 1.0]
    assert answers.margin[1] > answers.margin[0] + 99


def test_margin_is_the_logit_of_the_confidence() -> None:
    answers = answering(50, 1.0, 0)
    assert answers.margin == pytest.approx(np.log(answers.confidence / (1 - answers.confidence)), rel=1e-6)


def test_one_pass_keeps_order_and_mode() -> None:
    collection = Collection("toy", torch.randn(1100, 3), torch.arange(1100) % 2)
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2)).train()
    chosen = torch.arange(1099, -1, -1)
    answers = compute_signals(model, Examples(collection, chosen), CPU)
    assert model.training
    assert not answers.logits.requires_grad
    model.eval()
    assert torch.allclose(answers.logits, model(collection.inputs[chosen]).detach(), atol=1e-6)
    assert torch.equal(answers.labels, collection.labels[chosen])


@pytest.mark.parametrize(
    ("logits", "labels", "says"),
    [
        (torch.zeros(1, 1), torch.tensor([0]), "two or more"),
        (torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), "at least one"),
        (torch.zeros(1, 3), torch.tensor([3]), "expected 0 to 2"),
        (torch.full((2, 3), float("nan")), torch.tensor([0, 0]), "2 of 2"),
    ],
)
def test_unusable_answers_are_refused_in_one_line(
    logits: torch.Tensor, labels: torch.Tensor, says: str
) -> None:
    with pytest.raises(AuditError, match=says) as refused:
        Signals(logits, labels)
    assert "\n" not in str(refused.value)


def test_unseen_are_the_test_samples_of_the_forgotten_classes() -> None:
    some = answering(40, 1.0, 0)
    forget = some.where(some.labels.numpy() == 2)
    roles = RoleSignals(forget=forget, retain=some, holdout=some, test=some)
    assert set(roles.unseen.labels.tolist()) == {2}
    with pytest.raises(AuditError, match="no sample of the forget set's classes"):
        _ = RoleSignals(
            forget=forget, retain=some, holdout=some, test=some.where(some.labels.numpy() == 0)
        ).unseen
