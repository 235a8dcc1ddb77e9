"""What projected gradient unlearning promises beyond the common contract."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from obliq.data import Partition, Splits
from obliq.errors import ModelError
from obliq.methods import ProjectedGradient
from obliq.methods.projected_gradient import (
    projected_loss,
    protected_subspace,
    protected_subspaces,
    remove_protected,
)
from obliq.quantization import weighted_layers
from obliq.run import Run, Trace
from obliq.training.prediction import accuracy

CPU = torch.device("cpu")


def test_the_subspace_keeps_the_given_share_of_the_spectrum() -> None:
    directions, _ = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(0)).double())
    singular = torch.tensor([6.0, 2.0, 1.0, 1.0]).double()
    total = (directions * singular**2) @ directions.T
    for kept, count in ((0.5, 0), (0.7, 1), (0.85, 2), (1.0, 4)):
        expected = directions[:, :count] @ directions[:, :count].T
        assert torch.allclose(protected_subspace(total[None], kept + 1e-9)[0], expected, atol=1e-6)


def test_what_remains_is_orthogonal_to_the_subspace() -> None:
    inputs = torch.randn(3, 8, generator=torch.Generator().manual_seed(0)).double()
    basis = protected_subspace((inputs.T @ inputs)[None], 1.0)
    gradient = torch.randn(5, 8, generator=torch.Generator().manual_seed(1)).double()
    left = remove_protected(gradient, basis)
    assert torch.allclose(left @ inputs.T, torch.zeros(5, 3).double(), atol=1e-10)
    assert torch.allclose(remove_protected(left, basis), left, atol=1e-10), "once is enough"


def test_updates_of_every_layer_leave_the_protected_inputs(original: nn.Module, splits: Splits) -> None:
    protected = protected_subspaces(copy.deepcopy(original), splits.retain, 0.95, 128, Run())
    assert protected.keys() == weighted_layers(original).keys()
    result = ProjectedGradient(epochs=3, learning_rate=0.5).unlearn(original, splits, Run(seed=1))
    moved = 0.0
    for name, basis in protected.items():
        after, before = (model.get_parameter(f"{name}.weight").detach() for model in (result, original))
        update = after - before
        within = update.flatten(1) @ basis[0]
        assert float(within.norm()) <= 1e-4 * max(1.0, float(update.norm()))
        moved += float(update.norm())
    assert moved > 1e-3


def test_only_weights_move(original: nn.Module, splits: Splits) -> None:
    result = ProjectedGradient(epochs=2).unlearn(original, splits, Run(seed=1))
    before, after = original.state_dict(), result.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert moved <= {f"{name}.weight" for name in weighted_layers(original)}


def test_the_loss_by_hand() -> None:
    probabilities = torch.tensor([[0.7, 0.2, 0.1], [0.5, 0.25, 0.25]])
    labels = torch.tensor([0, 1])
    first = -(math.log(1 - 0.65) + math.log(1 - 0.20)) / 2
    entropy = -(probabilities * probabilities.log()).sum(1).mean().item()
    value = projected_loss(probabilities.log(), labels, 0.05, 0.2).item()
    assert value == pytest.approx(first - 0.2 * entropy, abs=1e-5)
    certain = torch.tensor([[1e4, 0.0, 0.0]])
    assert math.isfinite(projected_loss(certain, torch.tensor([0]), 0.05, 0.2).item())


def rows_of(method: ProjectedGradient, model: nn.Module, splits: Splits) -> tuple[nn.Module, list[float]]:
    trace = Trace()
    result = method.unlearn(model, splits, Run(seed=1, listen=trace))
    return result, [float(row["forget_ahead_of_holdout"]) for row in trace.rows]


def test_it_stops_where_forget_and_holdout_set_are_closest(original: nn.Module, splits: Splits) -> None:
    def ahead(model: nn.Module) -> float:
        return accuracy(model, splits.forget, CPU) - accuracy(model, splits.holdout, CPU)

    method = ProjectedGradient(epochs=60, kept=0.6, learning_rate=0.3, last_learning_rate=0.3)
    result, values = rows_of(method, original, splits)
    assert len(values) < 60, "the mark was reached"
    assert values[-1] < 0
    assert all(value >= 0 for value in values[:-1])
    last = [ahead(original), *values][-2:]
    assert abs(ahead(result)) == pytest.approx(min(abs(value) for value in last))


def test_a_network_that_is_past_the_mark_is_left_as_it_is(original: nn.Module, parts: Partition) -> None:
    wrong = (original(parts.train.inputs()).argmax(1) != parts.train.labels).nonzero().flatten()
    if not len(wrong):
        pytest.skip("the original answers every training sample rightly")
    splits = parts.forgetting(parts.train.indices[wrong], salt=b"1" * 32)
    result, values = rows_of(ProjectedGradient(epochs=3), original, splits)
    assert values == []
    assert all(
        torch.equal(tensor, result.state_dict()[name]) for name, tensor in original.state_dict().items()
    )


def test_a_forgotten_class_has_no_mark(original: nn.Module, parts: Partition) -> None:
    splits = parts.forgetting(parts.train.indices[parts.train.labels == 1], salt=b"1" * 32)
    method = ProjectedGradient(epochs=12, kept=0.5, learning_rate=0.5, last_learning_rate=0.5)
    result, values = rows_of(method, original, splits)
    assert len(values) == 12
    assert accuracy(result, splits.forget, CPU) < accuracy(original, splits.forget, CPU)


def test_a_float_network_answers_retained_inputs_as_before() -> None:
    """The promise itself, exact for one linear layer in which everything is protected."""
    inputs = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    layer = nn.Linear(8, 2)
    basis = protected_subspace((inputs.T @ inputs).double()[None], 1.0).float()
    before = layer(inputs)
    (gradient,) = torch.autograd.grad(F.mse_loss(layer(torch.ones(1, 8)), torch.ones(1, 2)), layer.weight)
    with torch.no_grad():
        layer.weight.sub_(remove_protected(gradient, basis))
    assert torch.allclose(layer(inputs), before, atol=1e-5)


@pytest.mark.parametrize("settings", [{"kept": 1.5}, {"offset": 0.0}, {"epochs": 0}, {"learning_rate": -1.0}])
def test_settings_out_of_range_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=next(iter(settings))):
        ProjectedGradient(**settings)
