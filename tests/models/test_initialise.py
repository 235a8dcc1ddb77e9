import pytest
import torch
from torch import nn

from obliq.errors import ModelError
from obliq.models import ARCHITECTURES, build_model, initialise, require_drawn_weights
from obliq.quantization import Precision, calibrate_steps, quantize
from tests.quantization.nets import made

SHAPES = {
    "convnet": (1, 8, 8),
    "strided-convnet": (1, 8, 8),
    "resnet20": (3, 32, 32),
    "resnet18": (3, 32, 32),
    "mobilenetv2": (3, 32, 32),
    "signal-convnet": (9, 128),
}


def equal(first: nn.Module, second: nn.Module) -> bool:
    left, right = first.state_dict(), second.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name != "resnet18"])
def test_equal_seeds_draw_equal_networks(name: str) -> None:
    first, second, third = (build_model(name, SHAPES[name], 10) for _ in range(3))
    assert not equal(first, second)
    initialise(first, seed=1)
    initialise(second, seed=1)
    initialise(third, seed=2)
    assert equal(first, second)
    assert not equal(first, third)


def test_the_global_random_state_is_left_alone() -> None:
    state = torch.random.get_rng_state()
    model = build_model("convnet", (1, 8, 8), 10)
    torch.random.set_rng_state(state)
    initialise(model, seed=3)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_values_are_those_of_a_construction() -> None:
    """The weights lie in the range, and have the spread, that PyTorch's own initialisation gives."""
    model = build_model("resnet20", (3, 32, 32), 10)
    initialise(model, seed=0)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            bound = (1 / module.weight[0].numel()) ** 0.5
            assert module.weight.abs().max() <= bound
            assert module.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.15)


def test_a_single_layer_equals_its_construction_exactly() -> None:
    layer = nn.Linear(5, 3)
    initialise(layer, seed=7)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        fresh = nn.Linear(5, 3)
    assert equal(layer, fresh)


def test_what_was_learned_is_gone() -> None:
    model = build_model("convnet", (1, 8, 8), 10)
    model.train()(torch.randn(8, 1, 8, 8))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(5.0)
    initialise(model, seed=0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert torch.equal(module.weight, torch.ones_like(module.weight))
            assert torch.equal(module.running_mean, torch.zeros_like(module.bias))  # type: ignore[arg-type]
            assert int(module.num_batches_tracked) == 0  # type: ignore[arg-type]
    assert not any((parameter == 5.0).any() for parameter in model.parameters())


def test_the_memory_layout_does_not_matter_and_is_kept() -> None:
    plain, other = build_model("convnet", (3, 8, 8), 10), build_model("convnet", (3, 8, 8), 10)
    other = other.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    identities = [id(parameter) for parameter in other.parameters()]
    initialise(plain, seed=4)
    initialise(other, seed=4)
    assert equal(plain, other)
    assert other.features[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert [id(parameter) for parameter in other.parameters()] == identities


@pytest.mark.parametrize("name", ["plain", "residual", "inverted", "signal-convnet"])
def test_the_quantized_form_gets_the_weights_of_the_float_form(name: str) -> None:
    if name in SHAPES:
        model, inputs = build_model(name, SHAPES[name], 10), torch.randn(4, *SHAPES[name])
    else:
        model, inputs = made(name)
    quantized = quantize(model, Precision(4, 4))
    calibrate_steps(quantized, inputs)
    initialise(model, seed=5)
    initialise(quantized, seed=5)
    values = quantized.state_dict()
    for key, value in model.state_dict().items():
        assert torch.equal(values[key], value)
    again = quantize(model, Precision(4, 4))
    assert equal(quantized, again)  # the learned steps follow from the new weights


class Owner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))


def test_a_submodule_that_cannot_be_drawn_again_is_named_and_nothing_changes() -> None:
    model = nn.ModuleDict({"first": nn.Linear(2, 2), "inner": Owner()})
    before = model["first"].weight.detach().clone()
    with pytest.raises(ModelError, match=r"inner \(Owner\) owns parameters but cannot draw them again"):
        initialise(model, seed=0)
    assert torch.equal(model["first"].weight, before)
    with pytest.raises(ModelError, match="the network"):
        initialise(Owner(), seed=0)


class Backbone(nn.Module):
    """A frozen part, with batch norm, and a head that is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 2)
        for parameter in self.body.parameters():
            parameter.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).mean((2, 3)))


@pytest.mark.parametrize("precision", ["FP32", "W4A4"])
def test_frozen_parts_keep_their_values_and_statistics(precision: str) -> None:
    net = Backbone()
    net.body[1].running_mean.fill_(0.5)
    model = quantize(net, precision)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    initialise(model, seed=1)
    after = model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert "head.weight" in changed
    assert not any(name.startswith("body.") for name in changed)
    assert not any(p.requires_grad for name, p in model.named_parameters() if name.startswith("body."))


def test_weights_that_a_function_loads_are_never_drawn_again() -> None:
    weights = nn.Linear(4, 2).state_dict()

    def loaded() -> nn.Module:
        net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
        net[3].load_state_dict(weights)
        return net

    with pytest.raises(ModelError, match=r"nets:loaded returns a network with weights of its own .3.weight"):
        require_drawn_weights(loaded, "nets:loaded")
    require_drawn_weights(lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)), "nets:fresh")
    require_drawn_weights(Backbone, "nets:frozen")
