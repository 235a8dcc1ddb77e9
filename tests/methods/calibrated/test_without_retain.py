"""What calibrated unlearning without a retain set promises beyond the common contract."""

import pytest
import torch
from torch import Tensor, nn

import obliq
from obliq.data import Examples, Partition, Splits
from obliq.errors import DataError, ModelError
from obliq.gradients import calibrated_loss, gradient_of
from obliq.methods import CalibratedHoldout
from obliq.methods.calibrated.targets import calibrated_targets, true_class_confidence
from obliq.methods.calibrated.without_retain import kept_samples
from obliq.run import Run
from obliq.training.prediction import accuracy, predict
from tests.methods.by_hand import first_step, linear, splits_by_hand
from tests.methods.measured import unreadable

CPU = torch.device("cpu")


def confidence(model: nn.Module, examples: Examples) -> float:
    return float(true_class_confidence(model, examples, Run(seed=1)).mean())


def test_forget_confidence_becomes_that_of_holdout_samples(original: nn.Module, splits: Splits) -> None:
    result = CalibratedHoldout(epochs=6).unlearn(original, unreadable(splits, "retain"), Run(seed=1))
    unseen = confidence(original, splits.holdout)
    before, after = (confidence(model, splits.forget) - unseen for model in (original, result))
    assert before > 0.05, "the original remembers"
    assert abs(after) < before / 2
    assert accuracy(result, splits.retain, CPU) >= accuracy(original, splits.retain, CPU) - 5


def test_a_whole_class_goes_and_the_others_stay(original: nn.Module, parts: Partition) -> None:
    of_class = parts.train.indices[parts.train.labels == 1]
    splits = parts.forgetting(of_class, salt=b"1" * 32)
    given = {"forget": splits.forget, "holdout": splits.holdout, "accept": True, "progress": False}
    method = CalibratedHoldout(learning_rate=0.03, retain_batch=8)
    result, partly = (
        obliq.unlearn(original, **given, method=method, whole_classes=whole) for whole in (True, False)
    )
    assert accuracy(result, splits.forget, CPU) < 10
    assert accuracy(result, splits.retain, CPU) >= accuracy(original, splits.retain, CPU) - 5
    assert accuracy(partly, splits.forget, CPU) > 50, (
        "unless the caller states that the class goes, answers stay"
    )
    with pytest.raises(DataError, match="whole_classes=True was given with a retain set"):
        obliq.unlearn(original, **given, retain=splits.retain, method=method, whole_classes=True)


def test_no_label_of_a_holdout_sample_is_taught(original: nn.Module, splits: Splits) -> None:
    """With nothing to change in the forget set, the network goes on answering as before, wrong answers included."""
    still = CalibratedHoldout(forget_weight=0.0, weight_decay=0.0, rounds=1, learning_rate=0.03)
    result = still.unlearn(original, splits, Run(seed=1))
    before, after = (predict(model, splits.holdout, CPU) for model in (original, result))
    torch.testing.assert_close(after, before, rtol=0, atol=1e-4)


def test_two_steps_by_hand() -> None:
    """The first step is on the forget loss alone, since equation (1) is least at the original.

    The second, at half the rate, adds the gradient of equation (1) where the first has led: the mean of (p - p_0) x^T.
    """
    inputs = ((1.0, 0.5), (0.5, -1.0), (-1.0, 1.5), (2.0, 1.0), (0.0, 1.0))
    holdout = [(one, number % 2) for number, one in enumerate(inputs)]
    retain = [
        ((0.0, 0.0), label) for label in (0, 1)
    ]  # not read; without it, both classes would be forgotten
    splits = splits_by_hand(forget=[((2.0, 1.0), 0), ((-0.5, 1.0), 1)], retain=retain, holdout=holdout)
    network, rate = linear([[0.8, 0.0], [0.0, 0.5]]), 0.5
    method = CalibratedHoldout(
        learning_rate=rate,
        epochs=2,
        rounds=1,
        restarts=0,
        forget_weight=4.0,
        projection="never",
        clip=0.0,
        momentum=0.0,
        weight_decay=0.0,
    )
    (found,) = first_step(method, network, splits)

    aims = calibrated_targets(network, splits, "average", Run(seed=1)).confidence
    forget, original, x = splits.forget, network[0].weight.detach().requires_grad_(), torch.tensor(inputs)

    def of_forget(weight: Tensor) -> Tensor:
        loss = calibrated_loss(forget.inputs() @ weight.T, forget.labels, aims)
        return method.forget_weight * gradient_of(loss, [weight])[0]

    first = of_forget(original)
    between = (original - rate * first).detach().requires_grad_()
    change = (x @ between.T).softmax(dim=1) - (x @ original.T).softmax(dim=1)
    of_answers = change.detach().T @ x / len(inputs)
    assert float(of_answers.norm()) > 0.1 * float(first.norm()), "the first step changed the answers"
    torch.testing.assert_close(found, first + (of_forget(between) + of_answers) / 2)


def test_holdout_samples_are_demanded(original: nn.Module, splits: Splits) -> None:
    few = splits.holdout.take(4)
    assert len(kept_samples(splits.holdout.take(5), frozenset())) == 5
    with pytest.raises(DataError, match=r"4 holdout samples.* expected at least 5"):
        kept_samples(few, frozenset())
    only = splits.holdout.where(splits.holdout.labels == 1)
    with pytest.raises(DataError, match="0 of them of classes to keep"):
        kept_samples(only, frozenset({1}))
    with pytest.raises(DataError, match="holdout samples"):
        obliq.unlearn(original, forget=splits.forget, method="calibrated-holdout", progress=False)


@pytest.mark.parametrize("settings", [{"rounds": 0}, {"tolerance": -0.1}, {"restarts": -1}])
def test_settings_out_of_range_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=next(iter(settings))):
        CalibratedHoldout(**settings)  # type: ignore[arg-type]


def test_retain_limit_uses_fewer_holdout_samples(original: nn.Module, splits: Splits) -> None:
    result = CalibratedHoldout(epochs=1, retain_limit=20).unlearn(original, splits, Run(seed=1))
    assert bool(torch.isfinite(predict(result, splits.holdout, CPU)).all())
