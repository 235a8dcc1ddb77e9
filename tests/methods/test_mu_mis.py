"""What MU-Mis promises beyond the common contract."""

import copy

import pytest
import torch
from torch import nn

import obliq
from obliq.data import Partition, Splits
from obliq.methods import MUMis
from obliq.methods.mu_mis import has_recovered, sensitivities
from obliq.quantization import learned_steps
from obliq.run import Run, Trace
from tests.methods.by_hand import first_step, splits_by_hand
from tests.methods.measured import unreadable


class Quadratic(nn.Module):
    """Logits x^T diag(a_c) x / 2, whose gradients are a_c x."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, -1.0]]))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return (self.a * inputs.unsqueeze(1) ** 2).sum(dim=2) / 2


def test_sensitivities_and_their_gradients_by_hand() -> None:
    network, inputs = Quadratic(), torch.tensor([[1.0, 2.0], [0.0, 1.0]])
    own, other = sensitivities(network, inputs, torch.tensor([0, 1]), torch.tensor([1, 0]))
    assert own.tolist() == [1 + 16, 1]  # ||a_c x||^2
    assert other.tolist() == [9 + 4, 4]
    (slope,) = torch.autograd.grad(own.sum(), network.a)
    # d ||a_c x||^2 / da_c = 2 a_c x^2
    torch.testing.assert_close(slope, torch.tensor([[2.0, 16.0], [0.0, -2.0]]))


def test_the_first_step_by_hand() -> None:
    """Of two classes, the other one is known: half of 2 a_y x^2 for the label, minus the same for the other class."""
    splits = splits_by_hand(forget=[((1.0, 2.0), 0), ((0.0, 1.0), 1)])
    (found,) = first_step(MUMis(epochs=1, learning_rate=0.01), Quadratic(), splits)
    # a_0 (x_1^2 - x_2^2) and a_1 (x_2^2 - x_1^2)
    torch.testing.assert_close(found, torch.tensor([[1.0, 6.0], [-3.0, 3.0]]), atol=1e-4, rtol=0)


def test_recovery_is_counted_from_the_minimum() -> None:
    assert not has_recovered([1.0], 0.0)
    assert not has_recovered([1.0, 0.6, 0.5], 0.0)
    assert not has_recovered([1.0, 0.5, 0.55], 0.1)
    assert has_recovered([1.0, 0.5, 0.61], 0.1)


def test_quantized_networks_can_be_differentiated_twice(original: nn.Module, splits: Splits) -> None:
    """The sensitivity of the true class falls by a step along its gradient, in the network as it is quantized."""
    network = copy.deepcopy(original).double()
    inputs, labels = splits.forget.inputs().double(), splits.forget.labels
    for step in learned_steps(network):
        step.requires_grad_(False)
    weights = [one for one in network.parameters() if one.requires_grad]

    def sensitivity() -> torch.Tensor:
        return sensitivities(network, inputs, labels, labels)[0].mean()

    before = sensitivity()
    slopes = torch.autograd.grad(before, weights, allow_unused=True)
    with torch.no_grad():
        for weight, slope in zip(weights, slopes, strict=True):
            if slope is not None:
                weight -= 0.05 * weight.norm() / (slope.norm() + 1e-12) * slope
    assert sensitivity().item() < before.item()


def test_a_class_is_forgotten_without_retained_samples(original: nn.Module, parts: Partition) -> None:
    of_class = parts.train.indices[parts.train.labels == 1]
    splits = unreadable(parts.forgetting(of_class, salt=b"1" * 32), "retain")
    trace = Trace()
    method = MUMis(epochs=6, learning_rate=3e-4, batch_size=16, recovery=10.0)
    result = method.unlearn(original, splits, Run(seed=1, listen=trace))
    inputs, labels = splits.forget.inputs(), splits.forget.labels
    before, after = (
        sensitivities(one, inputs, labels, labels)[0].mean().item() for one in (original, result)
    )
    assert after < before
    assert all(step.requires_grad for step in learned_steps(result))
    assert len([row for row in trace.rows if "irrelevant_sensitivity" in row]) == 6


def test_the_samples_of_one_class_are_enough_and_no_loss_is_reported_after_the_stop(
    original: nn.Module, parts: Partition
) -> None:
    last = parts.train.where(parts.train.labels == parts.collection.classes - 1)
    trace = Trace()
    method = MUMis(recovery=0, epochs=10, learning_rate=0.01)
    pair = (last.inputs(), last.labels)  # whose largest label is all that the set states about classes
    with pytest.warns(UserWarning, match="no gate can show"):
        network = obliq.unlearn(original, forget=pair, method=method, whole_classes=True, progress=trace)
    assert all(bool(torch.isfinite(one).all()) for one in network.parameters())
    assert obliq.weights_digest(network) != obliq.weights_digest(original)
    passes = sum("irrelevant_sensitivity" in row for row in trace.rows)
    assert 1 < passes < 10
    assert sum("loss" in row for row in trace.rows) == passes


def test_every_pass_is_made_where_it_never_stops(original: nn.Module, splits: Splits) -> None:
    trace = Trace()
    method = MUMis(recovery=0, stop="never", epochs=7, learning_rate=0.001)
    method.unlearn(original, splits, Run(seed=1, listen=trace))
    assert sum("irrelevant_sensitivity" in row for row in trace.rows) == 7
