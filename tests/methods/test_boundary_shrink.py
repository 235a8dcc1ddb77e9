"""What boundary shrink promises beyond the common contract."""

import copy
import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from obliq.data import Collection, Examples, Splits
from obliq.data.raw_values import eight_bit
from obliq.errors import ModelError
from obliq.methods import BoundaryShrink
from obliq.methods.boundary_shrink import adversarial, neighbouring_classes
from obliq.quantization import learned_steps
from obliq.run import Run
from obliq.training.prediction import predict

CPU = torch.device("cpu")
BYTES = torch.randint(0, 256, (8, 3, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
LABELS = torch.arange(8) % 3


def pictures(mean: tuple[float, ...] = (), deviation: tuple[float, ...] = ()) -> Examples:
    collection = Collection("pictures", BYTES, LABELS, mean=mean, deviation=deviation)
    return Examples(collection, torch.arange(8))


def linear(scale: torch.Tensor, shift: torch.Tensor) -> nn.Module:
    """A linear network on raw values scale * x + shift, so that it is one network in every space."""
    drawn = torch.randn(3, 48, generator=torch.Generator().manual_seed(1))

    class Raw(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x * scale + shift).flatten(1) @ drawn.T

    return Raw()


# 0.08 is 20.4 of 255; 0.1 would be 25.5, which rounds up or down by the last bit
def test_the_step_is_the_same_in_raw_values_whatever_the_standardisation() -> None:
    mean, deviation = (
        torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1),
        torch.tensor([0.2, 0.25, 0.3]).view(3, 1, 1),
    )
    plain, standardised = pictures(), pictures((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    raw = adversarial(
        linear(torch.ones(()), torch.zeros(())), plain.inputs(), LABELS, plain.collection, 0.08, True
    )
    other = adversarial(
        linear(deviation, mean), standardised.inputs(), LABELS, standardised.collection, 0.08, True
    )
    assert torch.allclose(other * deviation + mean, raw, atol=1e-6)
    assert torch.equal(raw, raw.clamp(0, 1))
    assert torch.allclose(raw * 255, (raw * 255).round(), atol=1e-3), "bytes again"
    moved = (raw - plain.inputs()).abs()
    assert float(moved.max()) <= 0.08 + 0.5 / 255 + 1e-6
    inside = (plain.inputs() > 0.11) & (plain.inputs() < 0.89)
    assert float(moved[inside].min()) >= 0.08 - 0.5 / 255 - 1e-6


def test_float_inputs_are_moved_by_the_full_step_and_not_clamped() -> None:
    collection = Collection("floats", 3 * torch.randn(8, 3, 4, 4), LABELS, mean=(1.0,), deviation=(2.0,))
    examples = Examples(collection, torch.arange(8))
    assert not eight_bit(examples)
    assert eight_bit(pictures())
    network = linear(torch.ones(()), torch.zeros(()))
    inputs = examples.inputs()
    attacked = adversarial(network, inputs, LABELS, collection, 0.1, False)
    assert torch.allclose((attacked - inputs).abs(), torch.full_like(inputs, 0.05), atol=1e-6)


def test_the_step_raises_the_loss_and_labels_are_the_answers_there(
    original: nn.Module, splits: Splits
) -> None:
    network, forget = copy.deepcopy(original).eval(), splits.forget
    inputs = forget.inputs()
    attacked = adversarial(network, inputs, forget.labels, forget.collection, 0.5, False)
    before, after = (F.cross_entropy(network(x), forget.labels) for x in (inputs, attacked))
    assert after > before
    found = neighbouring_classes(network, forget, 0.5, 5, Run())
    assert torch.equal(found, network(attacked).argmax(dim=1))
    assert bool((found != forget.labels).any())
    still = neighbouring_classes(network, forget, 0.0, 5, Run())
    assert torch.equal(still, network(inputs).argmax(dim=1))


def test_the_network_learns_those_labels(original: nn.Module, splits: Splits) -> None:
    found = neighbouring_classes(copy.deepcopy(original), splits.forget, 1.0, 128, Run())

    def loss(model: nn.Module) -> float:
        return F.cross_entropy(predict(model, splits.forget, CPU), found).item()

    result = BoundaryShrink(bound=1.0, learning_rate=0.01).unlearn(original, splits, Run(seed=1))
    assert loss(result) < loss(original) - 0.1


def test_statistics_are_frozen_or_follow_and_steps_are_trained(original: nn.Module, splits: Splits) -> None:
    name = "features.1.running_mean"
    method = BoundaryShrink(epochs=1, bound=1.0)
    frozen = method.unlearn(original, splits, Run(seed=1))
    assert torch.equal(frozen.state_dict()[name], original.state_dict()[name])
    following = dataclasses.replace(method, batch_norm="forget").unlearn(original, splits, Run(seed=1))
    assert not torch.equal(following.state_dict()[name], original.state_dict()[name])
    assert any(
        not torch.equal(a, b) for a, b in zip(learned_steps(original), learned_steps(frozen), strict=True)
    )


@pytest.mark.parametrize("settings", [{"bound": -0.1}, {"epochs": 0}, {"learning_rate": 0.0}])
def test_settings_out_of_range_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=next(iter(settings))):
        BoundaryShrink(**settings)
