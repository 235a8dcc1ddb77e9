"""What Q-MUL promises beyond the common contract, as described and as its public code does it."""

import copy
import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from obliq.data import Splits
from obliq.errors import ModelError
from obliq.gradients import gradient_of
from obliq.methods import QMUL
from obliq.methods.q_mul import gradient_weights, labels_by_position, similar_labels, similar_labels_as_coded
from obliq.quantization import learned_steps
from obliq.run import Run, Trace
from obliq.training.prediction import accuracy, predict
from tests.methods.by_hand import first_step, linear, splits_by_hand

CPU = torch.device("cpu")


def test_the_similar_label_is_the_runner_up_where_the_true_class_leads() -> None:
    logits = torch.randn(200, 10, generator=torch.Generator().manual_seed(0))
    labels = logits.argmax(dim=1)
    assert torch.equal(similar_labels(logits, labels), logits.topk(2).indices[:, 1])


def test_the_similar_label_is_never_the_true_one() -> None:
    logits = torch.randn(500, 10, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(500) % 10
    chosen = similar_labels(logits, labels)
    assert bool((chosen != labels).all())
    equal = similar_labels(torch.zeros(3, 4), torch.tensor([0, 1, 3]))
    assert bool((equal != torch.tensor([0, 1, 3])).all()), "even where all classes are equal"


def test_where_another_class_leads_the_closest_probability_counts_from_either_side() -> None:
    probabilities = torch.tensor([[0.50, 0.30, 0.15, 0.05]])
    assert similar_labels(probabilities.log(), torch.tensor([1])).item() == 2


def test_the_code_measures_from_logits_and_does_not_map_the_index_back() -> None:
    # p_y = 0.72 by hand; distances |logit - p_y|: class 0 2.72, class 2 0.28, class 3 2.22
    logits, labels = torch.tensor([[-2.0, 2.5, 1.0, -1.5]]), torch.tensor([1])
    true_class = logits.softmax(dim=1)[0, 1].item()
    distances = [abs(logit - true_class) for logit in (-2.0, 1.0, -1.5)]
    assert min(distances) == distances[1]
    assert similar_labels(logits, labels).item() == 2
    assert similar_labels_as_coded(logits, labels).item() == 1, "class 2 comes out as 1, the true class"


def test_the_code_is_right_below_the_true_class() -> None:
    logits, labels = torch.tensor([[1.0, -3.0, 2.5]]), torch.tensor([2])
    assert similar_labels_as_coded(logits, labels).item() == similar_labels(logits, labels).item() == 0


def test_logit_distance_can_choose_another_class_than_probability_distance() -> None:
    # the runner-up's logit (4) is far from p_y (0.73), that of class 0 (0.5) is near
    logits, labels = torch.tensor([[0.5, 4.0, 5.0]]), torch.tensor([2])
    assert similar_labels(logits, labels).item() == 1
    assert similar_labels_as_coded(logits, labels).item() == 0


def test_the_code_gives_labels_to_other_samples() -> None:
    found, positions = torch.tensor([7, 8, 9]), torch.tensor([2, 0, 1])
    assert labels_by_position(found, positions, in_loader_order=False).tolist() == [8, 9, 7]
    assert labels_by_position(found, positions, in_loader_order=True).tolist() == [7, 8, 9]


@pytest.mark.parametrize(("of_forget", "of_retain"), [(3.0, 1.0), (0.2, 5.0), (0.0, 2.0), (0.0, 0.0)])
def test_weights_are_the_other_sides_share(of_forget: float, of_retain: float) -> None:
    w_f, w_r = gradient_weights(of_forget, of_retain)
    assert w_f + w_r == pytest.approx(1.0)
    if of_forget + of_retain > 0:
        assert w_f == pytest.approx(of_retain / (of_forget + of_retain))
        assert w_f * of_forget == pytest.approx(w_r * of_retain), "both sides pull equally hard"


@pytest.mark.parametrize(("order", "steps"), [("mixed", (0.5, 0.5)), ("sequential", (1.0, 0.5))])
def test_an_epoch_by_hand(order: str, steps: tuple[float, float]) -> None:
    """At W = 0, G_f = 3 / sqrt 2 and G_r = 1 / sqrt 2, so that w_f = 1/4 and w_r = 3/4; the similar label is 1.

    A mixed epoch is one step on the mean of both. A sequential one is two steps, the second at half the rate; inputs
    are orthogonal, so that the first step leaves the second gradient as it was.
    """
    splits = splits_by_hand(forget=[((0.0, 3.0), 0)], retain=[((1.0, 0.0), 0)])
    method = QMUL(order=order, epochs=1, learning_rate=0.01, momentum=0.0, weight_decay=0.0)
    (found,) = first_step(method, linear([[0.0, 0.0], [0.0, 0.0]]), splits)
    of_forget, of_retain = steps[0] * 1 / 4 * 3 / 2, steps[1] * 3 / 4 * 1 / 2
    torch.testing.assert_close(found, torch.tensor([[-of_retain, of_forget], [of_retain, -of_forget]]))


def lengths(original: nn.Module, splits: Splits, **settings: object) -> dict[str, float]:
    trace = Trace()
    method = QMUL(epochs=1, batch_size=512, **settings)
    method.unlearn(original, splits, Run(seed=1, listen=trace))
    return trace.rows[0]


def test_recorded_lengths_are_those_of_the_gradients(original: nn.Module, splits: Splits) -> None:
    parameters = list(original.parameters())
    logits = original(splits.retain.inputs())
    norms = torch.stack(
        torch._foreach_norm(gradient_of(F.cross_entropy(logits, splits.retain.labels), parameters))
    )
    assert lengths(original, splits)["retain_gradient"] == pytest.approx(norms.norm().item(), rel=1e-3)

    forget = splits.forget
    logits = original(forget.inputs())
    similar = similar_labels(logits.detach(), forget.labels)
    norms = torch.stack(torch._foreach_norm(gradient_of(F.cross_entropy(logits, similar), parameters)))
    assert lengths(original, splits)["forget_gradient"] == pytest.approx(norms.norm().item(), rel=1e-3)


def test_the_code_sums_the_lengths_of_tensors_in_training_mode(original: nn.Module, splits: Splits) -> None:
    network = copy.deepcopy(original).train()
    loss = F.cross_entropy(network(splits.retain.inputs()), splits.retain.labels)
    norms = torch.stack(torch._foreach_norm(gradient_of(loss, list(network.parameters()))))
    as_coded = lengths(original, splits, faithful="code")["retain_gradient"]
    assert as_coded == pytest.approx(norms.sum().item(), rel=1e-2)
    assert as_coded > 1.3 * norms.norm().item()


def test_similar_labels_are_learned(original: nn.Module, splits: Splits) -> None:
    method = QMUL(epochs=8, learning_rate=0.05, batch_size=32)
    result = method.unlearn(original, splits, Run(seed=1))
    assert accuracy(result, splits.forget, CPU) < accuracy(original, splits.forget, CPU)


@pytest.mark.parametrize(("order", "batch_norm"), [("mixed", "all"), ("sequential", "retain")])
def test_statistics_follow_training_batches_and_frozen_ones_stay(
    original: nn.Module, splits: Splits, order: str, batch_norm: str
) -> None:
    name = "features.1.running_mean"
    before = original.state_dict()[name]
    following = QMUL(epochs=1, order=order, batch_norm=batch_norm)
    assert not torch.equal(following.unlearn(original, splits, Run(seed=1)).state_dict()[name], before)
    frozen = QMUL(epochs=1, order=order, batch_norm="frozen")
    assert torch.equal(frozen.unlearn(original, splits, Run(seed=1)).state_dict()[name], before)


def test_learned_steps_are_trained_and_do_not_decay(original: nn.Module, splits: Splits) -> None:
    result = QMUL(epochs=1).unlearn(original, splits, Run(seed=1))
    assert any(
        not torch.equal(a, b) for a, b in zip(learned_steps(original), learned_steps(result), strict=True)
    )
    still = QMUL(epochs=1, learning_rate=1e-12, weight_decay=1e9).unlearn(original, splits, Run(seed=1))
    assert all(
        torch.allclose(a, b) for a, b in zip(learned_steps(original), learned_steps(still), strict=True)
    )


def test_every_combination_of_choices_runs(original: nn.Module, splits: Splits) -> None:
    choices = itertools.product(
        ("similar", "random"), (True, False), ("paper", "code", "code-labels"), ("mixed", "sequential")
    )
    for labels, reweighting, faithful, order in choices:
        method = QMUL(labels=labels, reweighting=reweighting, faithful=faithful, order=order, epochs=1)
        result = method.unlearn(original, splits, Run(seed=1))
        assert bool(torch.isfinite(predict(result, splits.forget, CPU)).all())


@pytest.mark.parametrize(
    "settings", [{"epochs": 0}, {"learning_rate": 0.0}, {"batch_norm": "retain"}, {"weight_decay": -1.0}]
)
def test_settings_out_of_range_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=next(iter(settings))):
        QMUL(**settings)
