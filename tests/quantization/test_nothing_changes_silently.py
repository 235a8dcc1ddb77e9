"""A quantized copy computes what the network computes, or there is an error that names the statement."""

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.errors import ModelError
from obliq.quantization import quantize
from obliq.quantization.same_function import require_same_function
from obliq.quantization.tracing import trace

INPUTS = 4 * torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
Change = Callable[[Tensor], object]


class Small(nn.Module):
    """Two layers with a statement between them."""

    def __init__(self, change: Change | None = None) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)
        self.change = change

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if self.change is not None:
            self.change(x)
        return self.last(x.mean((2, 3)))


STATEMENTS: dict[str, Change] = {
    "clamp_min_": lambda x: x.clamp_min_(0),
    "clamp_": lambda x: x.clamp_(min=0, max=1),
    "masked_fill_": lambda x: x.masked_fill_(x < 0, 0.5),
    "F.leaky_relu_": lambda x: F.leaky_relu_(x, 0.2),
    "F.hardtanh_": lambda x: F.hardtanh_(x, -0.5, 0.5),
    "F.relu with inplace": lambda x: F.relu(x, inplace=True),
    "F.relu with inplace by position": lambda x: F.relu(x, True),
    "F.hardtanh with inplace by position": lambda x: F.hardtanh(x, -1.0, 1.0, True),
    "torch.relu_": torch.relu_,
    "sub_": lambda x: x.sub_(1.0),
    "neg_": lambda x: x.neg_(),
    "div_ after mul_": lambda x: x.mul_(3.0).div_(2.0),
}


@pytest.mark.parametrize("name", STATEMENTS)
@pytest.mark.parametrize("precision", ["FP32", "W8A8"])
def test_statements_in_place_are_kept(name: str, precision: str) -> None:
    net = Small(STATEMENTS[name]).eval()
    quantized = quantize(net, precision)  # raises when the copy computes something else
    if precision == "FP32":
        torch.testing.assert_close(quantized(INPUTS), net(INPUTS.clone()))
        assert not torch.allclose(net(INPUTS.clone()), _without_statement(net)(INPUTS)), (
            "the statement is idle"
        )


def _without_statement(net: Small) -> Small:
    plain = Small().eval()
    plain.load_state_dict(net.state_dict())
    return plain


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x[:, :2].relu_(),
        lambda x: x.view(-1).clamp_min_(0),
        lambda x: x.zero_(),
        lambda x: x.__setitem__((slice(None), 0), 0.0),
        lambda x: x.copy_(x * 2),
        lambda x: torch.neg(x, out=x),
    ],
    ids=["a slice", "a view", "zero_", "an item", "copy_", "out="],
)
def test_what_cannot_be_followed_is_refused(change: Change) -> None:
    with pytest.raises(ModelError, match="in place"):
        quantize(Small(change), "FP32")


class Drawing(Small):
    def __init__(self, draw: Callable[[], float]) -> None:
        super().__init__()
        self.draw = draw

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if self.draw() < 0.5:
            x = F.relu(x)
        return self.last(x.mean((2, 3)))


@pytest.mark.parametrize(
    "draw",
    [lambda: float(torch.rand(())), random.random, lambda: float(np.random.rand())],
    ids=["torch", "random", "numpy"],
)
@pytest.mark.parametrize("seed", range(4))
def test_a_random_branch_is_refused_whatever_it_takes(draw: Callable[[], float], seed: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        with pytest.raises(ModelError, match="draws random numbers"):
            quantize(Drawing(draw), "W4A4")


def _doubled(module: nn.Module, arguments: object, result: Tensor) -> Tensor:
    return 2 * result


def _halved(module: nn.Module, arguments: tuple[Tensor]) -> tuple[Tensor]:
    return (arguments[0] / 2,)


@pytest.mark.parametrize("precision", ["FP32", "W4A4"])
def test_hooks_are_refused_by_the_path_of_their_module(precision: str) -> None:
    for add in (
        lambda layer: layer.register_forward_hook(_doubled),
        lambda layer: layer.register_forward_pre_hook(_halved),
        lambda layer: layer.register_full_backward_hook(lambda *given: None),
    ):
        net = Small()
        handle = add(net.first)
        with pytest.raises(ModelError, match="module 'first' has a hook"):
            quantize(net, precision)
        handle.remove()
        quantize(net, precision)


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
@pytest.mark.parametrize(
    ("wrap", "remedy"),
    [
        (nn.utils.weight_norm, "remove_weight_norm"),
        (nn.utils.spectral_norm, "remove_spectral_norm"),
        (nn.utils.parametrizations.weight_norm, "remove_parametrizations"),
    ],
)
def test_reparametrized_weights_are_refused_with_the_remedy(
    wrap: Callable[[nn.Module], nn.Module], remedy: str
) -> None:
    net = Small()
    wrap(net.first)
    with pytest.raises(ModelError, match=f"module 'first'.*{remedy}"):
        quantize(net, "W4A4")


def test_a_difference_names_the_module_where_it_begins() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 2))
    changed = trace(net)
    with torch.no_grad():
        changed.get_submodule("2").weight.mul_(1.5)
    with pytest.raises(ModelError, match="in evaluation mode: the output of module '2' differs first"):
        require_same_function(net, changed, (3, 8, 8))
    with torch.no_grad():
        changed.get_submodule("2").weight.div_(1.5)
    require_same_function(net, changed, (3, 8, 8))


def test_a_shape_that_no_trial_finds_must_be_given() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 11 * 9, 2))
    with pytest.raises(ModelError, match="pass input_shape="):
        quantize(net, "W4A4")
    quantize(net, "W4A4", input_shape=(3, 13, 11))


def test_random_states_and_the_network_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(seed: int) -> None:
        pytest.fail("the accelerators were seeded")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", refuse)
    net = Small(STATEMENTS["sub_"]).train()
    before, state = torch.get_rng_state(), {name: value.clone() for name, value in net.state_dict().items()}
    quantize(net, "W4A4")
    assert torch.equal(torch.get_rng_state(), before)
    assert net.training
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert not net.first._forward_hooks
