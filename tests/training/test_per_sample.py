"""Gradients of single samples: those of one backward pass a sample, for every kind of layer."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from obliq.data import Collection, Examples
from obliq.models import build_model, initialise
from obliq.quantization import calibrate_steps, quantize
from obliq.run import Run
from obliq.training.per_sample import _is_known, one_by_one, per_sample_gradients


class Depthwise(nn.Module):
    """A separable convolution with biases."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.point, self.pool = nn.Conv2d(4, 6, 1, stride=2), nn.AdaptiveAvgPool2d(1)
        self.flatten, self.last = nn.Flatten(), nn.Linear(6, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.last(self.flatten(self.pool(self.point(self.depth(inputs).relu()))))


NETWORKS = [
    ("convnet", (1, 8, 8), "W4A4", "per_channel"),
    ("convnet", (1, 8, 8), "W2A2", "per_tensor"),
    ("signal-convnet", (3, 16), "W4A4", "per_channel"),
    ("resnet20", (3, 8, 8), "W4A4", "per_channel"),
    ("depthwise", (4, 6, 6), "W8A8", "per_channel"),
    ("convnet", (1, 8, 8), "FP32", "per_channel"),
]


def made(name: str, shape: tuple[int, ...], bits: str, grid: str) -> tuple[nn.Module, Examples]:
    generator = torch.Generator().manual_seed(0)
    collection = Collection("noise", torch.randn(7, *shape, generator=generator), torch.arange(7) % 3)
    plain = Depthwise() if name == "depthwise" else build_model(name, shape, 3)
    network = quantize(plain, bits, weight_grid=grid)
    initialise(network, 0)
    examples = Examples(collection, torch.arange(7))
    calibrate_steps(network, examples.inputs())
    network.train()(examples.inputs())  # batch norm's statistics become those of something
    return network.eval(), examples


def compared(network: nn.Module, examples: Examples, together: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    parameters = list(network.parameters())
    found = torch.cat(list(per_sample_gradients(network, parameters, examples, Run(), together)))
    return found, one_by_one(network, parameters, examples.inputs(), examples.labels)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: " ".join(map(str, network)))
def test_they_are_those_of_one_pass_a_sample(network: tuple[str, tuple[int, ...], str, str]) -> None:
    model, examples = made(*network)
    assert _is_known(model), "or the loop would be compared with itself"
    found, expected = compared(model, examples)
    assert found.shape == expected.shape
    error = (found - expected).norm(dim=1) / expected.norm(dim=1)
    # Convolutions round differently for other numbers of samples, and a value on an edge between two
    # codes then takes the other one, which changes a sample's gradient for good.
    assert int((error < 1e-5).sum()) >= 5


def test_each_parameter_is_right_by_itself() -> None:
    model, examples = made(*NETWORKS[3])
    found, expected = compared(model, examples, together=1)
    sizes = [parameter.numel() for parameter in model.parameters()]
    for name, one, other in zip(
        dict(model.named_parameters()), found.split(sizes, 1), expected.split(sizes, 1), strict=True
    ):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4 * float(expected.abs().max())), name


def test_weights_that_meet_no_sample_get_zeros() -> None:
    model, examples = made(*NETWORKS[0])
    spare = nn.Parameter(torch.ones(2))
    parameters = [*model.parameters(), spare]
    found = torch.cat(list(per_sample_gradients(model, parameters, examples, Run())))
    assert not found[:, -2:].any()
    assert found[:, :-2].any()


class Unusual(nn.Module):
    """A scale that no layer owns, a layer used on other rows than samples, and one used twice."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.scale = nn.Parameter(torch.ones(4)) if kind == "own parameter" else None
        self.layer, self.last = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if self.scale is not None:
            return self.last(self.layer(inputs * self.scale))
        if self.kind == "other rows":
            return self.last(self.layer(inputs.reshape(-1, 4)).reshape(-1, 2, 4).sum(1))
        return self.last(self.layer(self.layer(inputs)))


@pytest.mark.parametrize(
    ("kind", "known"), [("own parameter", False), ("other rows", True), ("used twice", True)]
)
def test_unusual_networks_are_right_too(kind: str, known: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    shape = (8,) if kind == "other rows" else (4,)
    collection = Collection("noise", torch.randn(6, *shape, generator=generator), torch.arange(6) % 3)
    network = quantize(Unusual(kind), "FP32").eval()
    assert _is_known(network) == known
    found, expected = compared(network, Examples(collection, torch.arange(6)))
    assert torch.allclose(found, expected, atol=1e-5)


def test_blocks_and_their_sum(original: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    collection = Collection("noise", torch.randn(9, 1, 6, 6, generator=generator), torch.arange(9) % 3)
    examples = Examples(collection, torch.arange(9))
    network = copy.deepcopy(original).eval()
    parameters = list(network.parameters())
    blocks = list(per_sample_gradients(network, parameters, examples, Run(), together=4))
    assert [len(block) for block in blocks] == [4, 5], "a single last sample joins the block before"
    loss = F.cross_entropy(network(examples.inputs()), examples.labels, reduction="sum")
    whole = torch.cat([part.reshape(-1) for part in torch.autograd.grad(loss, parameters)])
    assert torch.allclose(torch.cat(blocks).sum(0), whole, rtol=1e-3, atol=1e-4 * float(whole.abs().max()))
