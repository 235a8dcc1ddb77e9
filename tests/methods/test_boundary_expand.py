"""What boundary expand promises beyond the common contract."""

import copy

import pytest
import torch
from torch import nn

from obliq.data import Splits
from obliq.errors import ModelError
from obliq.methods import BoundaryExpand
from obliq.methods.boundary_expand import add_output, remove_last_output
from obliq.models import initialise
from obliq.quantization import QuantizedLinear, calibrate_steps, integer_state, learned_steps, quantize
from obliq.run import Run
from obliq.training.linear_probe import last_linear
from obliq.training.prediction import predict
from tests.conftest import CLASSES, SmallNet
from tests.methods.by_hand import first_step, linear, splits_by_hand

CPU = torch.device("cpu")
GRIDS = pytest.mark.parametrize("grid", ["per_channel", "per_tensor", "float"])


def layer(grid: str) -> nn.Linear:
    generator = torch.Generator().manual_seed(0)
    made = nn.Linear(5, 3) if grid == "float" else QuantizedLinear(5, 3, bits=4, weight_grid=grid)
    with torch.no_grad():
        made.weight.copy_(torch.randn(3, 5, generator=generator))
    if isinstance(made, QuantizedLinear):
        made.reset_step()
    return made


@GRIDS
def test_one_more_output_leaves_the_others_as_they_were(grid: str) -> None:
    narrow = layer(grid)
    wide = add_output(narrow, torch.Generator().manual_seed(3))
    inputs = torch.randn(7, 5, generator=torch.Generator().manual_seed(1))
    assert wide(inputs).shape == (7, 4)
    assert wide.out_features == 4
    assert torch.allclose(wide(inputs)[:, :3], narrow(inputs), atol=1e-6)
    assert bool((wide.weight[3].abs() <= 5**-0.5).all())
    assert narrow(inputs).shape == (7, 3), "the given layer is left alone"


@GRIDS
def test_taking_it_away_restores_the_layer(grid: str) -> None:
    narrow = layer(grid)
    back = remove_last_output(add_output(narrow, torch.Generator().manual_seed(3)))
    before, after = narrow.state_dict(), back.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert repr(back) == repr(narrow)


@pytest.mark.parametrize("settings", [{}, {"weight_grid": "per_tensor"}, {"preset": "paper"}])
def test_the_result_has_the_original_classes_and_grid(splits: Splits, settings: dict[str, str]) -> None:
    network = SmallNet()
    if "preset" in settings:  # the paper preset needs a layer between the first and the last
        network.features.insert(3, nn.Conv2d(8, 8, 1))
    made = quantize(network, weight_bits=4, activation_bits=4, **settings)
    initialise(made, 0)
    calibrate_steps(made, splits.retain.inputs())
    result = BoundaryExpand(epochs=2, learning_rate=0.01).unlearn(made, splits, Run(seed=1))
    assert predict(result, splits.forget, CPU).shape == (len(splits.forget), CLASSES)
    before, after = integer_state(made), integer_state(result)
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert (after[name].bits, after[name].scale.shape) == (tensor.bits, tensor.scale.shape)
        assert tensor.codes is None or tensor.codes.shape == after[name].codes.shape


def test_the_first_step_by_hand() -> None:
    """At W = 0 with the extra row w, every sample is taught the extra class: a mean of p_c x^T in each class's row c.

    Neither class is a target, whatever the label, and p_0 = p_1 = 1 / (2 + e^(w x)).
    """
    network = linear([[0.0, 0.0], [0.0, 0.0]])
    inputs = torch.tensor([[1.0, 2.0], [3.0, -1.0]])
    splits = splits_by_hand(forget=[(tuple(one), label) for label, one in enumerate(inputs.tolist())])
    (found,) = first_step(BoundaryExpand(epochs=1, learning_rate=0.1), network, splits)
    extra = add_output(network[0], Run(seed=1).generator(purpose=2)).weight[2].detach()
    row = (inputs / (2 + (inputs @ extra).exp()).unsqueeze(1)).mean(dim=0)
    torch.testing.assert_close(found, torch.stack([row, row]))


def test_a_frozen_last_layer_keeps_its_rows_and_the_extra_one_is_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[nn.Linear] = []

    def seeing(layer: nn.Linear) -> nn.Linear:
        seen.append(layer)
        return remove_last_output(layer)

    monkeypatch.setattr("obliq.methods.boundary_expand.remove_last_output", seeing)
    network = linear([[1.0, 0.5], [0.0, 1.0]], [[1.0, 0.0], [-0.5, 1.0]])
    network[1].weight.requires_grad_(False)
    splits = splits_by_hand(forget=[((1.0, 2.0), 0), ((3.0, -1.0), 1)])
    method = BoundaryExpand(epochs=2, learning_rate=0.1, weight_decay=0.1)
    result = method.unlearn(network, splits, Run(seed=1))
    assert torch.equal(result[1].weight, network[1].weight)
    assert [layer.weight.requires_grad for layer in result] == [True, False]
    assert not torch.equal(result[0].weight, network[0].weight)
    drawn = add_output(network[1], Run(seed=1).generator(purpose=2)).weight[2]
    assert not torch.equal(seen[0].weight[2], drawn)
    network.requires_grad_(False)
    with pytest.raises(ModelError, match="every parameter of the network is frozen"):
        method.unlearn(network, splits, Run(seed=1))


def test_forgotten_samples_leave_their_class(original: nn.Module, splits: Splits) -> None:
    def loss(model: nn.Module) -> float:
        logits = predict(model, splits.forget, CPU)
        return nn.functional.cross_entropy(logits, splits.forget.labels).item()

    result = BoundaryExpand(epochs=20, learning_rate=0.05).unlearn(original, splits, Run(seed=1))
    assert loss(result) > loss(original)


def test_statistics_are_frozen_or_follow_and_steps_are_trained(original: nn.Module, splits: Splits) -> None:
    name = "features.1.running_mean"
    frozen = BoundaryExpand(epochs=1).unlearn(original, splits, Run(seed=1))
    assert torch.equal(frozen.state_dict()[name], original.state_dict()[name])
    following = BoundaryExpand(epochs=1, batch_norm="forget").unlearn(original, splits, Run(seed=1))
    assert not torch.equal(following.state_dict()[name], original.state_dict()[name])
    assert any(
        not torch.equal(a, b) for a, b in zip(learned_steps(original), learned_steps(frozen), strict=True)
    )


def test_the_last_linear_layer_is_that_of_the_computation() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.answers = nn.Linear(4, 3)
            self.before = nn.Linear(5, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.answers(self.before(x).relu())

    assert last_linear(quantize(Odd(), "FP32")) == "answers"


def test_a_network_whose_answers_come_from_elsewhere_is_refused(splits: Splits) -> None:
    class Pooled(SmallNet):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return super().forward(inputs)[:, :2]

    with pytest.raises(ModelError, match="expected \\(1, 4\\)"):
        BoundaryExpand(epochs=1).unlearn(Pooled(), splits, Run())
    with pytest.raises(ModelError, match="no linear layer"):
        last_linear(nn.Sequential(nn.Conv2d(1, 3, 3)))


@pytest.mark.parametrize("settings", [{"epochs": 0}, {"learning_rate": 0.0}, {"momentum": -1.0}])
def test_settings_out_of_range_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=next(iter(settings))):
        BoundaryExpand(**settings)


def test_layers_of_the_given_network_are_not_shared(original: nn.Module, splits: Splits) -> None:
    before = copy.deepcopy(original.state_dict())
    result = BoundaryExpand(epochs=1).unlearn(original, splits, Run(seed=1))
    assert result.classifier is not original.classifier
    assert all(torch.equal(before[name], tensor) for name, tensor in original.state_dict().items())


def test_a_network_that_goes_on_after_its_last_linear_layer_is_refused(splits: Splits) -> None:
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(splits.forget.inputs()[0].numel(), CLASSES), nn.BatchNorm1d(CLASSES)
    )
    with pytest.raises(
        ModelError, match=r"does not run .*; expected a network whose last linear layer computes"
    ):
        BoundaryExpand(epochs=1).unlearn(network, splits, Run(seed=1))
